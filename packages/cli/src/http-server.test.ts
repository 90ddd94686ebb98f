import assert from "node:assert/strict";
import { connect } from "node:net";
import { once } from "node:events";
import { test } from "node:test";
import { clientAddress, listen } from "./http-server.ts";

const SOCKET = "192.0.2.9";

const ADDRESSES: readonly [name: string, forwarded: string | undefined, proxies: number, address: string][] = [
  ["no proxy of ours: whatever the client says is made up", "198.51.100.1", 0, SOCKET],
  ["one proxy: the entry that it wrote", "203.0.113.7, 198.51.100.1", 1, "198.51.100.1"],
  ["two proxies: what the outer one heard", "203.0.113.7, 198.51.100.1, 10.0.0.1", 2, "198.51.100.1"],
  ["IPv6", "2001:db8::1", 1, "2001:db8::1"],
  ["fewer entries than proxies", "198.51.100.1", 2, SOCKET],
  ["no header", undefined, 1, SOCKET],
  ["an entry that is no address", "unknown", 1, SOCKET],
  ["an empty last entry", "198.51.100.1,", 1, SOCKET],
];

for (const [name, forwarded, proxies, address] of ADDRESSES) {
  test(`the client's address: ${name}`, () => {
    const request = new Request(
      "http://localhost/",
      forwarded === undefined ? {} : { headers: { "x-forwarded-for": forwarded } },
    );
    assert.equal(clientAddress(request, SOCKET, proxies), address);
  });
}

test("closing ends connections that never asked for anything, and waits for a request that is being answered", async () => {
  const answer = Promise.withResolvers<Response>();
  const asked = Promise.withResolvers<void>();
  const http = await listen("127.0.0.1", 0, () => {
    asked.resolve();
    return answer.promise;
  });
  const silent = connect(Number(new URL(http.origin).port), "127.0.0.1");
  await once(silent, "connect");
  const busy = fetch(http.origin);
  await asked.promise;
  const closed = http.close();
  await once(silent, "close");
  answer.resolve(new Response("done"));
  assert.equal(await (await busy).text(), "done");
  await closed;
});
