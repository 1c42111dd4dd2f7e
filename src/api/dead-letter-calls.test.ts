import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.js";
import { EventService, RedriveFailureSchema } from "../../gen/passbus/v1/event_service_pb.js";
import { ADMIN_KEY, TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import { sampleLetter } from "../../test/support/samples.ts";
import type { Role } from "../access/access-store.ts";
import { DEAD_REASONS, type DeadLetter } from "../intake/dead-letters.ts";
import { LIMITS } from "../kernel/limits.ts";

const T = 1_700_000_000_000;
const GLOBEX = { organisation: "globex", environment: "production" };

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
beforeEach(() => {
  api.stage.records.length = 0;
  api.stage.deadLetters.rows.clear();
});
afterAll(() => api.stop(0));

function events(key = ADMIN_KEY) {
  return createClient(EventService, grpcWithKey(api.url, key));
}

const letter: typeof sampleLetter = (offset, record, over) =>
  sampleLetter(offset, { partition: 3, key: Buffer.from("p1"), value: Buffer.from("{}"), ...record }, over);

const dead = (...letters: readonly DeadLetter[]) => api.stage.deadLetters.add(...letters);

describe("ListDeadLetters", () => {
  it("shows the record as it came, with the reason", async () => {
    const [id = ""] = await dead(letter(7));
    await api.stage.deadLetters.noteRedriven(TENANT, [id], T + 9_000);
    const { deadLetters, nextPageToken } = await events().listDeadLetters({});
    expect(nextPageToken).toBe("");
    expect(deadLetters).toMatchObject([
      {
        id,
        reason: "event.conflict",
        message: "another was first",
        topic: "pass.events",
        partition: 3,
        offset: 7n,
        appendedAt: { seconds: BigInt(T / 1_000), nanos: 7_000_000 },
        key: new Uint8Array(Buffer.from("p1")),
        value: new Uint8Array(Buffer.from("{}")),
        valueBytes: 2,
        headers: { "content-type": "application/json" },
        truncated: false,
        redrivenAt: { seconds: BigInt(T / 1_000 + 9) },
      },
    ]);
  });

  it("says of a record without key and value, and of a cut one, what there is", async () => {
    await dead(letter(1, { key: null, value: null }), letter(2, { value: new Uint8Array(LIMITS.deadLetterBytes + 1) }));
    const { deadLetters } = await events().listDeadLetters({ omitValues: true });
    expect(deadLetters.map((each) => [each.truncated, each.key.length, each.value.length, each.valueBytes])).toEqual([
      [true, 2, 0, LIMITS.deadLetterBytes],
      [false, 0, 0, 0],
    ]);
    expect(deadLetters.map((each) => each.redrivenAt)).toEqual([undefined, undefined]);
  });

  it("goes newest first, page by page, by reason", async () => {
    await dead(letter(1), letter(2), letter(3, {}, { reason: "event.empty" }), letter(4));
    const first = await events().listDeadLetters({ reason: "event.conflict", pageSize: 2 });
    const second = await events().listDeadLetters({
      reason: "event.conflict",
      pageSize: 2,
      pageToken: first.nextPageToken,
    });
    const offsets = [first, second].map((page) => page.deadLetters.map(({ offset }) => offset));
    expect([offsets, second.nextPageToken]).toEqual([[[4n, 2n], [1n]], ""]);
  });

  it("ends a page of large values before the 4 MiB that clients take, and goes on from there", async () => {
    const value = new Uint8Array(LIMITS.deadLetterBytes);
    await dead(...Array.from({ length: 7 }, (_, at) => letter(at, { value })));
    const seen: bigint[] = [];
    let pageToken = "";
    let pages = 0;
    do {
      const page = await events().listDeadLetters({ pageToken });
      expect(page.deadLetters.length * value.length).toBeLessThan(4 * 1_024 * 1_024);
      seen.push(...page.deadLetters.map(({ offset }) => offset));
      pageToken = page.nextPageToken;
      pages += 1;
    } while (pageToken !== "");
    expect(seen).toEqual([6n, 5n, 4n, 3n, 2n, 1n, 0n]);
    expect(pages).toBeGreaterThan(1);
    const omitted = await events().listDeadLetters({ omitValues: true });
    expect(omitted.deadLetters).toHaveLength(7);
  });

  it("names the reasons that there are, and the field", async () => {
    const error = await failureOf(events().listDeadLetters({ reason: "event.bored" }));
    expect(error.code).toBe(Code.InvalidArgument);
    for (const reason of DEAD_REASONS) expect(error.message).toContain(reason);
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("reason");
  });

  it("shows no other tenant's", async () => {
    await dead(letter(1), letter(2, {}, { tenant: GLOBEX }));
    const { deadLetters } = await events(api.stage.key("operator", GLOBEX)).listDeadLetters({});
    expect(deadLetters.map(({ offset }) => offset)).toEqual([2n]);
  });
});

describe("RedriveDeadLetters", () => {
  it("appends them again, and says how many", async () => {
    const ids = await dead(letter(1), letter(2));
    expect(await events().redriveDeadLetters({ ids: [...ids, ...ids] })).toMatchObject({ redriven: 2 });
    expect(api.stage.records.map(({ topic, key }) => [topic, String(key)])).toEqual([
      ["pass.events", "p1"],
      ["pass.events", "p1"],
    ]);
  });

  it.each([
    ["an unknown one", Code.NotFound, async () => "dead_none"],
    ["another tenant's", Code.NotFound, async () => (await dead(letter(8, {}, { tenant: GLOBEX })))[0]],
    ["one without a value", Code.FailedPrecondition, async () => (await dead(letter(9, { value: null })))[0]],
  ])("appends none beside %s, and names its field", async (_, code, make) => {
    const [good = ""] = await dead(letter(1));
    const bad = (await make()) ?? "";
    const error = await failureOf(events().redriveDeadLetters({ ids: [good, bad] }));
    expect(error.code).toBe(code);
    expect(error.message).toContain(bad);
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("ids[1]");
    expect(api.stage.records).toEqual([]);
  });

  it("is UNAVAILABLE where some are not durable, and says which are", async () => {
    await using half = await testApi();
    half.stage.append = async () => [{ durable: true }, { durable: false, reason: "disk of 10.0.0.7 full" }];
    const [first = "", second = ""] = await half.stage.deadLetters.add(letter(1), letter(2));
    const client = createClient(EventService, grpcWithKey(half.url, ADMIN_KEY));
    const error = await failureOf(client.redriveDeadLetters({ ids: [second, first] }));
    expect(error.code).toBe(Code.Unavailable);
    expect(error.message).not.toContain("10.0.0.7");
    expect(error.findDetails(RedriveFailureSchema)[0]?.outcomes).toMatchObject([
      { id: second, durable: false },
      { id: first, durable: true },
    ]);
  });
});

describe("dead letters", () => {
  it.each<[Role, boolean]>([
    ["admin", true],
    ["operator", true],
    ["publisher", false],
    ["subscriber", false],
    ["viewer", false],
  ])("are for %s: %s", async (role, may) => {
    const client = events(api.stage.key(role));
    const ids = await dead(letter(1));
    const codes = await Promise.all(
      [client.listDeadLetters({}), client.redriveDeadLetters({ ids })].map((call) =>
        call.then(() => undefined).catch((error: unknown) => ConnectError.from(error).code),
      ),
    );
    expect(codes).toEqual(may ? [undefined, undefined] : [Code.PermissionDenied, Code.PermissionDenied]);
  });
});
