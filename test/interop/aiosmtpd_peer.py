"""A server by aiosmtpd on a loopback port that prints what it accepts.

Its port comes first, then a line of JSON for each message. A line on its input is answered by an empty line, so that
whoever reads knows that there is no more.
"""

import asyncio
import base64
import json
import sys

from aiosmtpd.smtp import SMTP


class Keeper:
    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        if address.startswith("refused"):
            return "553 5.7.1 not from you"
        envelope.mail_from = address
        return "250 2.1.0 ok"

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("refused"):
            return "550 5.1.1 no such user"
        if address.startswith("deferred"):
            return "451 4.3.0 later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        message = {
            "reversePath": envelope.mail_from,
            "forwardPaths": envelope.rcpt_tos,
            "content": base64.b64encode(envelope.original_content).decode(),
            "connection": str(session.peer[1]),
        }
        print(json.dumps(message), flush=True)
        return "250 2.0.0 kept"


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Keeper(), hostname="aiosmtpd.example"), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop.add_reader(sys.stdin, lambda: sys.stdin.readline() and print(flush=True))
    await server.serve_forever()


asyncio.run(main())
