/**
 * v1a signatures with nothing faked: a passbus in a process of its own, a webhook over HTTP, and a receiver that holds no
 * secret. It verifies with Node's crypto from the text that is published: neither npm library of Standard Webhooks knows
 * v1a.
 */
import { createPublicKey, type JsonWebKey, randomBytes, verify } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { numberedEvent } from "../support/paced-publisher.ts";
import { DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { bodyOf, httpServer, type TestServer } from "../support/receiver.ts";
import { within } from "../support/within.ts";

const SOON_MS = 10_000;

interface Webhook {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

let data: DataDirectory;
let server: TestServer;
let arrive: (webhook: Webhook) => void = () => {};

beforeAll(async () => {
  data = new DataDirectory();
  server = await httpServer(async (request, response) => {
    const body = await bodyOf(request);
    response.end();
    arrive({ headers: request.headers, body });
  });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  data[Symbol.dispose]();
});

async function published(passbus: RunningPassbus, query = "?organisation=default&environment=production") {
  const answer = await fetch(`${passbus.url}/.well-known/jwks.json${query}`);
  const { keys } = (await answer.json()) as { readonly keys: readonly JsonWebKey[] };
  return keys;
}

/** As a receiver does it: which of the signatures does this published key verify? */
function verifiedBy(key: JsonWebKey, { headers, body }: Webhook): readonly number[] {
  const publicKey = createPublicKey({ key, format: "jwk" });
  const signed = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), body]);
  const signatures = String(headers["webhook-signature"]).split(" ");
  return signatures.flatMap((signature, at) => {
    const [version, base64 = ""] = signature.split(",");
    return version === "v1a" && verify(null, signed, publicKey, Buffer.from(base64, "base64")) ? [at] : [];
  });
}

/** The next webhook, after an event was published. */
async function nextWebhook(passbus: RunningPassbus, number: number): Promise<Webhook> {
  const arrived = new Promise<Webhook>((resolve) => {
    arrive = resolve;
  });
  await passbus.api.events.publishEvents({ events: [numberedEvent(number)] });
  return within(SOON_MS, "the webhook", arrived);
}

describe("ed25519 signatures", { timeout: 60_000 }, () => {
  test("verify with the published keys, through a restart and through a rotation of the seeds", async () => {
    const seed = (id: string) => `${id}:${randomBytes(32).toString("base64")}`;
    const [older, newer] = [seed("s1"), seed("s2")];
    let first: JsonWebKey | undefined;
    {
      await using passbus = await RunningPassbus.start(data.path, { PASSBUS_SIGNING_SEEDS: older });
      const subscription = { url: `http://127.0.0.1:${server.port}/hook`, ed25519Signature: true };
      await passbus.api.subscriptions.createSubscription({ subscription });
      const webhook = await nextWebhook(passbus, 1);
      const keys = await published(passbus);
      [first] = keys;
      if (first === undefined) throw new Error("no key is published");
      expect(keys).toHaveLength(1);
      expect(verifiedBy(first, webhook)).toEqual([1]);
      expect(verifiedBy(first, { ...webhook, body: Buffer.concat([webhook.body, Buffer.from(" ")]) })).toEqual([]);
      // The bootstrap tenant's where nobody is named; a customer's own else.
      expect(await published(passbus, "")).toEqual(keys);
      const [theirs] = await published(passbus, "?organisation=globex");
      if (theirs === undefined) throw new Error("no key is published");
      expect(verifiedBy(theirs, webhook)).toEqual([]);
      expect(Object.keys(theirs).sort()).toEqual(["alg", "crv", "kid", "kty", "use", "x"]);
    }
    await using passbus = await RunningPassbus.start(data.path, { PASSBUS_SIGNING_SEEDS: `${newer},${older}` });
    const webhook = await nextWebhook(passbus, 2);
    const keys = await published(passbus);
    expect(keys).toHaveLength(2);
    expect(keys.map((key) => verifiedBy(key, webhook))).toEqual([[1], [2]]);
    expect(keys[1]).toEqual(first);
  });

  test("without a setting, a seed is made in the data directory, and stays over a restart", async () => {
    using own = new DataDirectory();
    const keysOfAStart = async () => {
      await using passbus = await RunningPassbus.start(own.path);
      // Awaited here, or the process would be gone under it.
      return await published(passbus);
    };
    const before = await keysOfAStart();
    expect(before).toHaveLength(1);
    expect(await keysOfAStart()).toEqual(before);
  });
});
