import { createHmac } from "node:crypto";
import { Webhook } from "svix";
import { expect, test } from "vitest";
import { type ArrivedWebhook, verifyWebhook } from "./demo-verify.ts";

const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const other = `whsec_${Buffer.alloc(32, 8).toString("base64")}`;
const passkit = { secret, bodySignatureHeader: "x-passkit-signature" };

/** A webhook as it should be, signed by a library that is neither ours nor the one that verifies. */
function webhook(
  over: { body?: string; signedBody?: string; at?: Date; key?: string; vendor?: string } = {},
): ArrivedWebhook {
  const { body = '{"event":"ä"}', at = new Date(), key = secret } = over;
  const signedBody = over.signedBody ?? body;
  return {
    method: "PUT",
    path: "/crm",
    headers: {
      "webhook-id": "dlv_1",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
      "webhook-signature": new Webhook(key).sign("dlv_1", at, signedBody),
      "x-passkit-signature": over.vendor ?? createHmac("sha256", key).update(signedBody).digest("hex"),
    },
    body: Buffer.from(body),
  };
}

test("a webhook that is signed right verifies, by every header that its format promises", () => {
  expect(verifyWebhook(webhook(), passkit)).toEqual({
    ok: true,
    checked: ["webhook-signature", "x-passkit-signature"],
  });
  expect(verifyWebhook(webhook(), { secret })).toEqual({ ok: true, checked: ["webhook-signature"] });
});

test.each([
  ["another body than was signed", webhook({ signedBody: '{"event":"b"}' })],
  ["another secret", webhook({ key: other })],
  ["a timestamp from ten minutes ago", webhook({ at: new Date(Date.now() - 600_000) })],
  ["no signature", { ...webhook(), headers: { "webhook-id": "dlv_1" } }],
])("%s does not verify", (_name, arrived) => {
  expect(verifyWebhook(arrived, { secret })).toMatchObject({
    ok: false,
    reason: expect.stringMatching(/^webhook-signature: /),
  });
});

test("the vendor's signature must be there and fit, whatever the other says", () => {
  const { "x-passkit-signature": _gone, ...headers } = webhook().headers;
  expect(verifyWebhook({ ...webhook(), headers }, passkit)).toEqual({
    ok: false,
    reason: "x-passkit-signature is missing",
  });
  for (const vendor of [createHmac("sha256", other).update(webhook().body).digest("hex"), "00", ""]) {
    expect(verifyWebhook(webhook({ vendor }), passkit)).toEqual({
      ok: false,
      reason: "x-passkit-signature does not fit the body",
    });
  }
});
