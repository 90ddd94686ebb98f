"""A process: Django's send_mass_mail over one connection, as contender.ts. Its last line is JSON."""

import json
import sys
import time

import django
from django.conf import settings
from django.core.mail import get_connection, send_mass_mail

task = json.loads(sys.argv[1])
subject, text, sender, recipient = (task[name] for name in ("subject", "text", "from", "to"))
settings.configure(
    EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
    EMAIL_HOST="127.0.0.1",
    EMAIL_PORT=task["port"],
)
django.setup()


def send(count):
    messages = ((subject, text, sender, [recipient]) for _ in range(count))
    assert send_mass_mail(messages, connection=connection) == count


connection = get_connection()
connection.open()
warm_up_end = time.perf_counter() + task["warmUp"] / 1e3
while time.perf_counter() < warm_up_end:
    send(task["count"] // 20)
start, cpu = time.perf_counter(), time.process_time()
send(task["count"])
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
connection.close()
print(json.dumps({"perSecond": task["count"] / seconds, "cpu": cpu * 1e6 / task["count"]}))
