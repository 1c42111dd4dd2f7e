import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { PassSchema } from "../../gen/io/pass_pb.js";
import { type PassEvent, PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { CodedError } from "../kernel/errors.ts";
import { idSource } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { seededRandom } from "../kernel/random.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { AppendResult, LogWriter, NewRecord } from "./event-log.ts";
import { type Publisher, publisher } from "./publish.ts";

const tenant = { organisation: "acme", environment: "staging" };

type Init = MessageInitShape<typeof PassEventSchema>;

function event(init: Init = {}): PassEvent {
  const event = create(PassEventSchema, init);
  if (!("type" in init)) event.type = PassEventType.CREATED;
  if (!("pass" in init)) event.pass = create(PassSchema, { id: "p1" });
  return event;
}

/** A log in memory that answers what it is told to. */
function setUp(answer: (records: readonly NewRecord[]) => readonly AppendResult[] = allDurable) {
  const appended: NewRecord[] = [];
  const log: LogWriter = {
    async append(records) {
      appended.push(...records);
      return answer(records);
    },
  };
  const ids = idSource(new ManualClock(), seededRandom(3));
  const mayPublish = ({ organisation }: Tenant) => organisation !== "unbound";
  return { appended, publish: publisher({ log, ids, mayPublish }).publish };
}

function allDurable(records: readonly NewRecord[]): readonly AppendResult[] {
  return records.map(() => ({ durable: true }));
}

async function refusal(
  publish: Publisher["publish"],
  events: readonly PassEvent[],
  sender: Tenant = tenant,
): Promise<CodedError> {
  try {
    await publish(sender, events);
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error("the events were taken");
}

describe("publish", () => {
  test("appends each event as a canonical record under its pass, and answers the ids in order", async () => {
    const { publish, appended } = setUp();
    const result = await publish(tenant, [event({ id: "one" }), event({ pass: { id: "p2", classId: "class" } })]);
    expect(result).toEqual({
      kind: "published",
      reason: "",
      outcomes: [
        { eventId: "one", durable: true },
        { eventId: expect.stringMatching(/^evt_[0-9a-f]{32}$/), durable: true },
      ],
    });
    expect(appended.map((record) => record.key)).toEqual(["p1", "p2"]);
    expect(appended[0]?.headers).toEqual({
      "content-type": "application/x-protobuf;canonical=1",
      "organisation-id": "acme",
      environment: "staging",
      "event-id": "one",
    });
    expect(fromBinary(PassEventSchema, appended[1]?.value ?? new Uint8Array())).toMatchObject({
      id: result.outcomes[1]?.eventId,
      organisationId: "acme",
      environment: "staging",
      entityId: "class",
    });
  });

  test.each([0, LIMITS.publishBatch + 1])("refuses a batch of %i events", async (count) => {
    const { publish } = setUp();
    const error = await refusal(
      publish,
      Array.from({ length: count }, () => event()),
    );
    expect(error.code).toBe("request.invalid");
    expect(error.violations.map((violation) => violation.field)).toEqual(["events"]);
  });

  test("one wrong event, and nothing of the batch is written", async () => {
    const { publish, appended } = setUp();
    const error = await refusal(publish, [event(), event(), event(), event({ pass: { id: "" } })]);
    expect(error.code).toBe("request.invalid");
    expect(error.message).toBe("events[3].pass.id: is required");
    expect(appended).toEqual([]);
  });

  test("names at most twenty fields", async () => {
    const { publish } = setUp();
    const error = await refusal(
      publish,
      Array.from({ length: 30 }, () => event({ type: 0, id: " " })),
    );
    expect(error.violations).toHaveLength(20);
  });

  test.each<[string, Init]>([
    ["events[1].organisation_id", { organisationId: "other" }],
    ["events[1].environment", { environment: "production" }],
  ])("another tenant's %s is forbidden, and nothing is written", async (field, init) => {
    const { publish, appended } = setUp();
    const error = await refusal(publish, [event(), event(init)]);
    expect(error.code).toBe("tenant.forbidden");
    expect(error.message).toContain(`${field}: `);
    expect(error.violations.map((violation) => violation.field)).toEqual([field]);
    expect(appended).toEqual([]);
  });

  test("a tenant that the log's topic may not speak for is refused before anything is written", async () => {
    const { publish, appended } = setUp();
    const error = await refusal(publish, [event()], { organisation: "unbound", environment: "production" });
    expect(error.code).toBe("tenant.forbidden");
    expect(error.message).toContain("PASSBUS_KAFKA_TENANTS");
    expect(appended).toEqual([]);
  });

  test("the key's own tenant may be named", async () => {
    const { publish } = setUp();
    const named = event({ organisationId: "acme", environment: "staging" });
    expect((await publish(tenant, [named])).kind).toBe("published");
  });

  test("an event of the largest size is taken, and one byte more is not", async () => {
    const { publish, appended } = setUp();
    await publish(tenant, [event({ id: "e", pass: { id: "p", externalId: "x" } })]);
    const overhead = (appended[0]?.value.length ?? 0) - 1;
    // The lengths of the text and of the pass take two bytes more each when they are long.
    const fitting = LIMITS.eventBytes - overhead - 4;
    const sized = (length: number) => event({ id: "e", pass: { id: "p", externalId: "x".repeat(length) } });
    expect((await publish(tenant, [sized(fitting)])).kind).toBe("published");
    expect(appended[1]?.value).toHaveLength(LIMITS.eventBytes);
    const error = await refusal(publish, [event(), sized(fitting + 1)]);
    expect(error.code).toBe("limit.event_bytes");
    expect(error.message).toContain("events[1]: must be at most 262144 bytes");
  });

  test("the same event twice in a batch is one record with two answers", async () => {
    const { publish, appended } = setUp();
    const twice = () => event({ id: "e", pass: { id: "p", recordData: { a: "1", b: "2" } } });
    const turned = event({ id: "e", pass: { id: "p", recordData: { b: "2", a: "1" } } });
    const result = await publish(tenant, [twice(), event({ id: "f" }), turned]);
    expect(result.kind).toBe("published");
    expect(result.outcomes.map((outcome) => outcome.eventId)).toEqual(["e", "f", "e"]);
    expect(appended).toHaveLength(2);
  });

  test("the same id with other content in a batch is refused", async () => {
    const { publish, appended } = setUp();
    const error = await refusal(publish, [event({ id: "e" }), event({ id: "e", pass: { id: "p2" } })]);
    expect(error.message).toBe("events[1].id: events[0] has the same id and other content");
    expect(appended).toEqual([]);
  });

  test("says which events are durable where some are not", async () => {
    const { publish } = setUp((records) =>
      records.map((record) => (record.key === "bad" ? { durable: false, reason: "disk full" } : { durable: true })),
    );
    const bad = { id: "b", pass: { id: "bad" } };
    expect(await publish(tenant, [event({ id: "a" }), event(bad), event({ id: "c" }), event(bad)])).toEqual({
      kind: "partial",
      reason: "disk full",
      outcomes: [
        { eventId: "a", durable: true },
        { eventId: "b", durable: false },
        { eventId: "c", durable: true },
        { eventId: "b", durable: false },
      ],
    });
  });

  test("an answer that is short leaves the rest not durable", async () => {
    const { publish } = setUp(() => [{ durable: true }]);
    const result = await publish(tenant, [event({ id: "a" }), event({ id: "b" })]);
    expect(result.kind).toBe("partial");
    expect(result.outcomes.map((outcome) => outcome.durable)).toEqual([true, false]);
  });

  test("a log that breaks down is unavailable", async () => {
    const { publish } = setUp(() => {
      throw new Error("the thread died");
    });
    expect((await refusal(publish, [event()])).code).toBe("log.unavailable");
  });
});
