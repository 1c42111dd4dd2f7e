/** What leaves for each dialect: one event, sent to a subscription of each format, as the sender is handed it. */
import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodedEvent, plainOptions } from "../../test/support/events.ts";
import { sampleSubscription } from "../../test/support/samples.ts";
import type { FormatName, Subscription } from "../domain/subscription.ts";
import { idSource } from "../kernel/ids.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { seededRandom, systemRandom } from "../kernel/random.ts";
import { keyringFrom, makeEncryptionKey } from "../signing/keyring.ts";
import { makeSecret, sealAuthorization, sealSecret } from "../signing/secrets.ts";
import { signer } from "../signing/signer.ts";
import { attempt } from "./attempt.ts";
import type { OutboundRequest } from "./sender.ts";

const random = seededRandom(3);
const keyring = keyringFrom(makeEncryptionKey("k1", random), systemRandom);
const secret = makeSecret(random);

function subscriptionOf(format: FormatName, formatOptions = plainOptions): Subscription {
  const plain = sampleSubscription({ format, formatOptions });
  return { ...plain, secrets: [{ id: "a", sealed: sealSecret(keyring, plain, "a", secret), createdAtMs: 0 }] };
}

async function sent(subscription: Subscription, type = PassEventType.INSTALLED) {
  const clock = new ManualClock();
  const requests: OutboundRequest[] = [];
  const deps = {
    sender: {
      send: async (request: OutboundRequest) => {
        requests.push(request);
        return { kind: "failure", reason: "connect.refused", message: "nobody", durationMs: 1 } as const;
      },
      close: async () => undefined,
    },
    signer: signer(keyring),
    clock,
    ids: idSource(clock, random),
    userAgent: "passbus/test",
  };
  const event = { ...decodedEvent({ type, pass: { id: "pass-1" } }), rendered: new Map(), conflicted: false };
  const result = await attempt(deps, event, subscription, "dlv_1");
  return { request: requests[0], record: result.attempt };
}

describe("an attempt", () => {
  // Seed 002.
  it("PASSENTRY carries X-Webhook-Signature: hex HMAC-SHA256 of the body by the secret's whole text", async () => {
    const { request, record } = await sent(subscriptionOf("PASSENTRY"));
    const body = request?.body ?? Buffer.alloc(0);
    expect(request?.method).toBe("POST");
    expect(request?.headers["x-webhook-signature"]).toBe(createHmac("sha256", secret).update(body).digest("hex"));
    expect(JSON.parse(String(body)).data.attributes.webhookType).toBe("passInstalled");
    expect(record.request?.headers["x-webhook-signature"]).toBe("");
  });

  // Seed 001.
  it("ETHPASS carries the stored authorization, and its record doesn't", async () => {
    const plain = subscriptionOf("ETHPASS");
    const sealedEthpassAuthorization = sealAuthorization(keyring, plain, "Basic hush");
    const { request, record } = await sent({
      ...plain,
      formatOptions: { ...plainOptions, sealedEthpassAuthorization },
    });
    expect(request?.headers).toMatchObject({ authorization: "Basic hush", "content-type": "application/json" });
    expect(JSON.parse(String(request?.body)).event).toBe("pass:register");
    expect(record.request?.headers.authorization).toBe("");
    expect(JSON.stringify(record)).not.toContain("hush");
  });

  it("CLOUDEVENTS carries its attributes as headers in binary mode, and its record shows them", async () => {
    const { request, record } = await sent(
      subscriptionOf("CLOUDEVENTS", { ...plainOptions, cloudeventsMode: "binary" }),
    );
    expect(request?.headers).toMatchObject({ "ce-type": "pass.installed", "content-type": "application/json" });
    expect(record.request?.headers).toMatchObject({ "ce-type": "pass.installed", "ce-subject": "pass-1" });
  });

  it.each(["STANDARD", "PASSKIT", "PASSENTRY", "ETHPASS", "CLOUDEVENTS"] as const)(
    "%s carries the headers of Standard Webhooks, and none of another dialect's",
    async (format) => {
      const { request } = await sent(subscriptionOf(format));
      const names = Object.keys(request?.headers ?? {}).sort();
      const own = { PASSKIT: ["x-passkit-signature"], PASSENTRY: ["x-webhook-signature"] }[String(format)] ?? [];
      const common = ["content-type", "user-agent", "webhook-id", "webhook-signature", "webhook-timestamp"];
      expect(names).toEqual([...common, ...own].sort());
    },
  );

  it("that can't be written in the format is our fault, and is not sent", async () => {
    const { request, record } = await sent(subscriptionOf("PASSENTRY"), PassEventType.DELETED);
    expect(request).toBeUndefined();
    expect(record).toMatchObject({ errorCode: "format.failed", errorMessage: "PASSENTRY cannot say DELETED" });
  });
});
