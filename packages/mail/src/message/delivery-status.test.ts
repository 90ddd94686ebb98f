import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryStatusRequest } from "../delivery.ts";
import { AddressError, MessageError } from "../errors.ts";
import { deliveryStatusRequest } from "./delivery-status.ts";
import { Message } from "./message.ts";

const BASE = { from: "from@example.com", to: ["A <a@x.example>"], bcc: ["b@X.example"] };

test("a request goes into the envelope, and what the caller changes later changes nothing", () => {
  const notify: ("failure" | "delay")[] = ["failure", "delay"];
  const originalRecipients: Record<string, string> = { "b@x.example": "사용자@한국.example" };
  const message = new Message({ ...BASE, dsn: { notify, ret: "headers", envelopeId: "a b+=~", originalRecipients } });
  notify.pop();
  originalRecipients["a@x.example"] = "other@x.example";
  assert.deepEqual(message.envelope().dsn, {
    notify: ["failure", "delay"],
    ret: "headers",
    envelopeId: "a b+=~",
    originalRecipients: { "b@x.example": "사용자@한국.example" },
  });
  message.toBytes();
  assert.deepEqual(message.withFrom("other@example.com").envelope().dsn, message.envelope().dsn);
  for (const part of [message.envelope().dsn, message.envelope().dsn?.notify, message.dsn?.originalRecipients])
    assert.ok(Object.isFrozen(part));
});

test("without a request, and with one that asks for nothing, the envelope has none", () => {
  for (const dsn of [undefined, null, {}, { notify: undefined, ret: undefined }])
    assert.ok(!("dsn" in new Message({ ...BASE, dsn }).envelope()));
});

test("the original recipients may be named as the message names them, and become forward-paths", () => {
  const dsn = { originalRecipients: { "b@X.EXAMPLE": "b@x.example" } };
  assert.deepEqual(new Message({ ...BASE, dsn }).envelope().dsn?.originalRecipients, { "b@x.example": "b@x.example" });
});

test("a request that is set later is checked when the envelope is asked for", () => {
  const message = new Message(BASE);
  message.dsn = { notify: [] };
  assert.throws(() => message.envelope(), { field: "dsn.notify" });
  message.dsn = { notify: "never" };
  assert.deepEqual(message.envelope().dsn, { notify: "never" });
});

test("what RFC 3461 does not allow is an error that names the field", () => {
  const wrong: readonly [field: string, dsn: unknown][] = [
    ["dsn", "never"],
    ["dsn", ["failure"]],
    ["dsn", new Map([["notify", "never"]])],
    ["dsn", Object.create({ notify: "never" })],
    ["dsn.Notify", { Notify: "never" }],
    ["dsn.notify", { notify: [] }],
    ["dsn.notify", { notify: "failure" }],
    ["dsn.notify", { notify: ["never"] }],
    ["dsn.notify", { notify: ["never", "failure"] }],
    ["dsn.notify", { notify: ["failure", "failure"] }],
    ["dsn.notify", { notify: ["FAILURE"] }],
    ["dsn.notify", { notify: ["failure\r\nDATA"] }],
    ["dsn.notify", { notify: null }],
    [
      "dsn.notify",
      {
        get notify() {
          return "never";
        },
      },
    ],
    ["dsn.ret", { ret: "hdrs" }],
    ["dsn.envelopeId", { envelopeId: "" }],
    ["dsn.envelopeId", { envelopeId: "x".repeat(101) }],
    ["dsn.envelopeId", { envelopeId: "가" }],
    ["dsn.envelopeId", { envelopeId: "a\tb" }],
    ["dsn.envelopeId", { envelopeId: "a\r\nRCPT TO:<evil@example.com>" }],
    ["dsn.envelopeId", { envelopeId: 7 }],
    ["dsn.originalRecipients", { originalRecipients: ["a@x.example"] }],
    ['dsn.originalRecipients["a@x.example"]', { originalRecipients: { "a@x.example": 7 } }],
    ['dsn.originalRecipients["a@x.example"]', { originalRecipients: { "a@x.example": "a@x.example\r\nDATA" } }],
    ['dsn.originalRecipients["a@x.example"]', { originalRecipients: { "a@x.example": "a@x.example NOTIFY=NEVER" } }],
    ['dsn.originalRecipients["A"]', { originalRecipients: { A: "a@x.example" } }],
    ['dsn.originalRecipients["__proto__"]', { originalRecipients: { ["__proto__"]: "a@x.example" } }],
    [
      'dsn.originalRecipients["b@X.example"]',
      { originalRecipients: { "b@x.example": "b@x.example", "b@X.example": "c@x.example" } },
    ],
  ];
  for (const [field, dsn] of wrong) {
    assert.throws(
      () => new Message({ ...BASE, dsn: dsn as DeliveryStatusRequest }),
      (error) => (error instanceof MessageError || error instanceof AddressError) && error.field === field,
      `${field} of ${JSON.stringify(dsn)}`,
    );
  }
});

test("the bounds are allowed", () => {
  for (const envelopeId of [" ", "~", "x".repeat(100)])
    assert.deepEqual(deliveryStatusRequest({ envelopeId }), { envelopeId });
  const notify = ["success", "failure", "delay"];
  assert.deepEqual(deliveryStatusRequest({ notify }), { notify });
});

test("the original of somebody who is no recipient is an error, once the recipients are known", () => {
  const message = new Message({ ...BASE, dsn: { originalRecipients: { "c@x.example": "c@x.example" } } });
  for (const render of [() => message.envelope(), () => message.toBytes()])
    assert.throws(render, { code: "bad-value", field: 'dsn.originalRecipients["c@x.example"]' });
  message.cc.push("c@x.example");
  assert.deepEqual(message.envelope().dsn?.originalRecipients, { "c@x.example": "c@x.example" });
});
