import { describe, expect, test } from "vitest";
import { sampleSubscription } from "../../test/support/samples.ts";
import { refusal } from "../../test/support/subscriptions.ts";
import { idSource } from "../kernel/ids.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { seededRandom } from "../kernel/random.ts";
import { type ChallengeAnswer, endpointChallenge, flawOf } from "./endpoint-challenge.ts";

type Response = Extract<ChallengeAnswer, { kind: "response" }>;

function answered(body: string, over: Partial<Response> = {}): Response {
  return { kind: "response", status: 200, headers: {}, excerpt: Buffer.from(body), ...over };
}

describe("an answer echoes the challenge", () => {
  test.each<[string, Response]>([
    ["as the body", answered("c-1")],
    ["as the body, with a line's end", answered("c-1\r\n")],
    ["as JSON text", answered('"c-1"')],
    ["as a member of an object", answered('{"ok":true,"challenge":"c-1"}')],
    ["as the body that was sent", answered('{"type":"webhook.verification","challenge":"c-1"}', { status: 201 })],
    ["in the header", answered("", { status: 204, headers: { "webhook-challenge": "c-1" } })],
  ])("%s", (_, answer) => {
    expect(flawOf(answer, "c-1")).toBeUndefined();
  });
});

describe("an answer that doesn't says what came back", () => {
  test.each<[string, ChallengeAnswer, string]>([
    ["another text", answered("ok"), 'it answered 200 with the body "ok"'],
    ["the challenge somewhere in a page", answered("<p>c-1</p>"), 'it answered 200 with the body "<p>c-1</p>"'],
    ["nothing", answered("", { status: 204 }), "it answered 204 with no body"],
    ["the challenge, and a refusal", answered("c-1", { status: 401 }), 'it answered 401 with the body "c-1"'],
    ["a redirect", answered("c-1", { status: 302 }), 'it answered 302 with the body "c-1"'],
    [
      "no answer",
      { kind: "failure", reason: "connect.refused", message: "nobody there" },
      "connect.refused, nobody there",
    ],
  ])("%s", (_, answer, flaw) => {
    expect(flawOf(answer, "c-1")).toBe(flaw);
  });

  test("and no more than the beginning of it, in which nothing runs a terminal", () => {
    const flaw = flawOf(answered(`\u001b[31m${"x".repeat(4_000)}`), "c-1");
    expect(flaw?.length).toBeLessThan(300);
    expect(flaw).toContain('the body "\\u001b[31mxxx');
  });
});

test("the challenge goes out as a signed webhook would, with a text that nobody can guess, new each time", async () => {
  const sent: { readonly headers: Readonly<Record<string, string>>; readonly body: Buffer; readonly url: string }[] =
    [];
  const clock = new ManualClock();
  const random = seededRandom(5);
  const challenge = endpointChallenge({
    sender: {
      send: async (request) => {
        sent.push(request);
        return { exchange: answered("no") };
      },
    },
    signer: {
      tlsOf: () => undefined,
      sign: (_subscription, _format, id, _timestampMs, body) => ({
        "webhook-id": id,
        "webhook-signature": `of ${body}`,
      }),
    },
    clock,
    random,
    ids: idSource(clock, random),
    userAgent: "passbus/test",
  });
  const subscription = sampleSubscription({ headers: { "x-gate": "open" } });
  const error = await refusal(challenge(subscription));
  expect(error.code).toBe("endpoint.unverified");
  expect(error.message).toBe(
    'subscription.url: the endpoint did not echo the challenge: it answered 200 with the body "no"',
  );
  expect(error.violations[0]?.field).toBe("subscription.url");
  await refusal(challenge(subscription));
  const challenges = sent.map(({ body }) => JSON.parse(body.toString()).challenge);
  expect(challenges[0]).toMatch(/^[\w-]{32}$/);
  expect(challenges[1]).not.toBe(challenges[0]);
  expect(sent[0]).toMatchObject({
    method: "POST",
    url: subscription.url,
    timeoutMs: subscription.policy.attemptTimeoutMs,
    headers: {
      "x-gate": "open",
      "user-agent": "passbus/test",
      "content-type": "application/json",
      "webhook-id": expect.stringMatching(/^chl_/),
      "webhook-signature": `of {"type":"webhook.verification","challenge":"${challenges[0]}"}`,
    },
  });
});
