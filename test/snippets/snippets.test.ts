/**
 * The code that the dashboard gives to receivers (src/dashboard/pages/subscriptions/snippets.ts), run in its own
 * language: on webhooks as they came over the wire, in every dialect, and on the same with one thing changed.
 */
import { Buffer } from "node:buffer";
import { createClient } from "@connectrpc/connect";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Format } from "../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import type { Language, Scheme } from "../../src/dashboard/pages/subscriptions/snippets.ts";
import { ADMIN_KEY, type TestApi, testApi } from "../support/api.ts";
import { grpcWithKey } from "../support/grpc.ts";
import { bodyOf, httpServer, type TestServer } from "../support/receiver.ts";
import { type Case, RUNTIMES, runnerOf } from "../support/snippet-runners.ts";

/** The start of a runtime, and of Go's and Java's compilers, on a machine that is busy with other things. */
const LIMIT_MS = 120_000;
const AUTHORIZATION = "Bearer what-the-receiver-gave-us";

const STANDARD: Scheme = { kind: "standard" };
const DIALECTS: readonly (readonly [name: string, format: Format, scheme: Scheme])[] = [
  ["Standard Webhooks", Format.STANDARD, STANDARD],
  ["CloudEvents by Standard Webhooks", Format.CLOUDEVENTS, STANDARD],
  ["PassKit", Format.PASSKIT, { kind: "body", header: "x-passkit-signature" }],
  ["PassEntry", Format.PASSENTRY, { kind: "body", header: "x-webhook-signature" }],
  ["ethpass", Format.ETHPASS, { kind: "authorization" }],
];

interface Sent extends Case {
  readonly secret: string;
}

let api: TestApi;
let server: TestServer;
const sent = new Map<Format, Sent>();

beforeAll(async () => {
  let arrived: Case | undefined;
  server = await httpServer(async (request, response) => {
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    arrived = { headers, body: await bodyOf(request) };
    response.end();
  });
  api = await testApi();
  const client = createClient(SubscriptionService, grpcWithKey(api.url, ADMIN_KEY));
  for (const [, format] of DIALECTS) {
    const options = format === Format.ETHPASS ? { formatOptions: { ethpassAuthorization: AUTHORIZATION } } : {};
    const { subscription, secret } = await client.createSubscription({
      subscription: { url: `http://127.0.0.1:${server.port}/${format}`, format, ...options },
    });
    await client.testSubscription({ id: subscription?.id ?? "" });
    if (arrived === undefined) throw new Error("the test did not arrive");
    sent.set(format, { ...arrived, secret });
  }
}, LIMIT_MS);
afterAll(async () => {
  await api?.stop(0);
  await server?.[Symbol.asyncDispose]();
});

/** The webhook as it came, then what must not pass. */
function casesOf(
  webhook: Sent,
  scheme: Scheme,
): readonly (Case & { readonly passes: boolean; readonly what: string })[] {
  const { headers, body } = webhook;
  const flipped = Buffer.from(body);
  flipped[10] = (flipped[10] ?? 0) ^ 1;
  const without = (name: string) => Object.fromEntries(Object.entries(headers).filter(([each]) => each !== name));
  const asItCame = { what: "as it came", headers, body, passes: true };
  if (scheme.kind === "authorization") {
    return [
      asItCame,
      { what: "another's", headers: { ...headers, authorization: `${AUTHORIZATION}x` }, body, passes: false },
      { what: "without it", headers: without("authorization"), body, passes: false },
    ];
  }
  const name = scheme.kind === "standard" ? "webhook-signature" : scheme.header;
  const common = [
    asItCame,
    { what: "another body", headers, body: flipped, passes: false },
    { what: "no signature", headers: without(name), body, passes: false },
    { what: "an empty signature", headers: { ...headers, [name]: "" }, body, passes: false },
  ];
  if (scheme.kind !== "standard") return common;
  const signature = headers[name] ?? "";
  return [
    ...common,
    { what: "the second of two", headers: { ...headers, [name]: `v1,AAAA ${signature}` }, body, passes: true },
    { what: "another version", headers: { ...headers, [name]: signature.replace("v1,", "v2,") }, body, passes: false },
    { what: "another id", headers: { ...headers, "webhook-id": "dlv_other" }, body, passes: false },
    { what: "another time", headers: { ...headers, "webhook-timestamp": "1700000000" }, body, passes: false },
    { what: "no time", headers: without("webhook-timestamp"), body, passes: false },
    { what: "an old one, rightly signed", headers: signedAgo(10 * 60_000, webhook), body, passes: false },
    { what: "one of a minute ago", headers: signedAgo(60_000, webhook), body, passes: true },
  ];
}

/** The webhook as passbus would have sent it then. */
function signedAgo(agoMs: number, { headers, body, secret }: Sent): Case["headers"] {
  const at = new Date(Date.now() - agoMs);
  const id = headers["webhook-id"] ?? "";
  const signature = new Webhook(secret).sign(id, at, body.toString());
  return { ...headers, "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)), "webhook-signature": signature };
}

function takesWhatWasSent(language: Language): void {
  const run = runnerOf(language);
  it.each(DIALECTS)(
    "take what was sent, and nothing else: %s",
    async (_name, format, scheme) => {
      const webhook = sent.get(format);
      if (webhook === undefined) throw new Error("nothing was sent in this format");
      const cases = casesOf(webhook, scheme);
      const verdicts = await run(scheme, cases, {
        PASSBUS_SECRET: webhook.secret,
        PASSBUS_AUTHORIZATION: AUTHORIZATION,
      });
      expect(cases.map(({ what }, at) => [what, verdicts[at]])).toEqual(
        cases.map(({ what, passes }) => [what, passes]),
      );
    },
    LIMIT_MS,
  );
}

describe("the snippets in Node", () => takesWhatWasSent("Node"));

for (const [language, needs] of RUNTIMES) {
  describe.skipIf(!needs.present)(needs.title(`the snippets in ${language}`), () => takesWhatWasSent(language));
}
