import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { PassSchema } from "../../gen/io/pass_pb.js";
import { type PassEvent, PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { settled } from "../../test/support/settled.ts";
import { within } from "../../test/support/within.ts";
import { CodedError } from "../kernel/errors.ts";
import { idSource } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { seededRandom } from "../kernel/random.ts";
import type { AppendResult, NewRecord } from "./event-log.ts";
import { publishStream, type StreamOutcome } from "./publish-stream.ts";

const TENANT = { organisation: "acme", environment: "production" };

function event(id: string, passId = "p1", size = 0): PassEvent {
  const pass = create(PassSchema, { id: passId });
  return create(PassEventSchema, {
    id,
    type: PassEventType.CREATED,
    pass,
    ...(size > 0 && { details: { downloadUrl: "x".repeat(size) } }),
  });
}

type Answer = (records: readonly NewRecord[]) => Promise<readonly AppendResult[]>;

const allDurable: Answer = async (records) => records.map(() => ({ durable: true }));

/** A sender that says what it likes, and counts what was taken of it. */
function sender() {
  const waiting: (PassEvent | undefined)[] = [];
  let taken = 0;
  let wake = () => {};
  let over = false;
  async function* events() {
    for (;;) {
      while (waiting.length > 0) {
        taken += 1;
        yield waiting.shift();
      }
      if (over) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  return {
    events: events(),
    taken: () => taken,
    send(...sent: readonly (PassEvent | undefined)[]) {
      waiting.push(...sent);
      wake();
    },
    end() {
      over = true;
      wake();
    },
  };
}

function setUp(answer: Answer = allDurable) {
  const batches: string[][] = [];
  const log = {
    append(records: readonly NewRecord[]) {
      batches.push(records.map(({ headers }) => headers["event-id"] ?? ""));
      return answer(records);
    },
  };
  const ids = idSource(new ManualClock(), seededRandom(3));
  const stopping = new AbortController();
  const from = sender();
  const publish = publishStream({ log, ids, mayPublish: ({ organisation }) => organisation === "acme" });
  const stream = (tenant = TENANT) =>
    publish({ tenant, events: from.events, signal: stopping.signal })[Symbol.asyncIterator]();
  return { batches, stopping, from, stream };
}

async function all(stream: AsyncIterator<StreamOutcome>): Promise<readonly (readonly [string, string])[]> {
  const outcomes: (readonly [string, string])[] = [];
  for (let next = await stream.next(); next.done !== true; next = await stream.next()) {
    outcomes.push([next.value.eventId, next.value.error?.code ?? ""]);
  }
  return outcomes;
}

describe("a stream of events", () => {
  test("answers each event in order, and one that is refused for itself", async () => {
    const { from, stream, batches } = setUp();
    const foreign = event("evt_3");
    foreign.organisationId = "globex";
    from.send(
      event("evt_1"),
      event("evt_2", ""),
      foreign,
      undefined,
      event("evt_4", "p", LIMITS.eventBytes),
      event("evt_5"),
    );
    from.end();
    expect(await all(stream())).toEqual([
      ["evt_1", ""],
      ["evt_2", "request.invalid"],
      ["evt_3", "tenant.forbidden"],
      ["", "request.invalid"],
      ["evt_4", "limit.event_bytes"],
      ["evt_5", ""],
    ]);
    expect(batches.flat()).toEqual(["evt_1", "evt_5"]);
  });

  test("names the field of an event that is refused, and gives an id to one that has none", async () => {
    const { from, stream } = setUp();
    from.send(event("", ""), event(""));
    const answers = stream();
    expect((await answers.next()).value?.error?.message).toBe("event.pass.id: is required");
    expect((await answers.next()).value).toEqual({ eventId: expect.stringMatching(/^evt_/) });
  });

  test("takes what came meanwhile as the next batch", async () => {
    const first = Promise.withResolvers<void>();
    const { from, stream, batches } = setUp(async (records) => {
      await first.promise;
      return allDurable(records);
    });
    const answers = all(stream());
    from.send(event("evt_1"));
    await settled();
    from.send(event("evt_2"));
    from.send(event("evt_3"));
    await settled();
    from.end();
    first.resolve();
    expect(await answers).toHaveLength(3);
    expect(batches).toEqual([["evt_1"], ["evt_2", "evt_3"]]);
  });

  test("says of each event whether it is durable, and goes on after the log failed", async () => {
    let calls = 0;
    const { from, stream } = setUp(async (records) => {
      calls += 1;
      if (calls === 1) throw new Error("broken");
      return records.map(({ headers }) =>
        headers["event-id"] === "evt_2" ? { durable: false, reason: "full" } : { durable: true },
      );
    });
    const answers = stream();
    from.send(event("evt_1"));
    const failed = (await answers.next()).value;
    expect(failed).toMatchObject({ eventId: "evt_1", error: { code: "log.unavailable" } });
    from.send(event("evt_2"), event("evt_3"));
    from.end();
    expect(await all(answers)).toEqual([
      ["evt_2", "log.unavailable"],
      ["evt_3", ""],
    ]);
  });

  test("reads no more events ahead of their answers than it may", async () => {
    const { from, stream } = setUp();
    from.send(...Array.from({ length: LIMITS.publishAhead + 50 }, (_, at) => event(`evt_${at}`)));
    const answers = stream();
    await answers.next();
    await settled();
    expect(from.taken()).toBe(LIMITS.publishAhead);
    await answers.next();
    await settled();
    expect(from.taken()).toBe(LIMITS.publishAhead + 1);
  });

  test("reads no more bytes ahead of their answers than it may", async () => {
    const { from, stream } = setUp();
    const bytes = LIMITS.eventBytes - 1_024;
    from.send(...Array.from({ length: 100 }, (_, at) => event(`evt_${at}`, "p", bytes)));
    await stream().next();
    await settled();
    expect(from.taken()).toBe(Math.ceil(LIMITS.publishAheadBytes / bytes));
  });

  test("answers what it has read when it is told to end, and reads no more", async () => {
    const answering = Promise.withResolvers<void>();
    const { from, stream, stopping } = setUp(async (records) => {
      await answering.promise;
      return allDurable(records);
    });
    const answers = all(stream());
    from.send(event("evt_1"));
    await settled();
    stopping.abort();
    from.send(event("evt_2"));
    answering.resolve();
    expect(await within(1_000, "the end", answers)).toEqual([["evt_1", ""]]);
  });

  test("ends at once where nobody sends", async () => {
    const { stream, stopping } = setUp();
    const answers = all(stream());
    await settled();
    stopping.abort();
    expect(await within(1_000, "the end", answers)).toEqual([]);
  });

  test("reads nothing where it was told to end before", async () => {
    const { from, stream, stopping, batches } = setUp();
    stopping.abort();
    from.send(event("evt_1"));
    expect(await within(1_000, "the end", all(stream()))).toEqual([]);
    expect(batches).toEqual([]);
  });

  test("reads no more when the one who reads the answers has gone", async () => {
    const { from, stream } = setUp();
    from.send(...Array.from({ length: LIMITS.publishAhead + 50 }, (_, at) => event(`evt_${at}`)));
    const answers = stream();
    await answers.next();
    await answers.return?.();
    const taken = from.taken();
    await settled();
    from.send(event("evt_last"));
    await settled();
    // The one that was being read at the time is let go of.
    expect(from.taken()).toBeLessThanOrEqual(taken + 1);
  });

  test("throws what reading threw, after the answers to what came before", async () => {
    const { stream } = setUp();
    async function* broken() {
      yield event("evt_1");
      throw new CodedError("request.invalid", "does not parse");
    }
    const publish = publishStream({
      log: { append: allDurable },
      ids: idSource(new ManualClock(), seededRandom(3)),
      mayPublish: () => true,
    });
    const answers = publish({ tenant: TENANT, events: broken(), signal: new AbortController().signal });
    const iterator = answers[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toEqual({ eventId: "evt_1" });
    await expect(iterator.next()).rejects.toThrow("does not parse");
    await expect(all(stream({ organisation: "globex", environment: "production" }))).rejects.toThrow(
      "may not speak for globex/production",
    );
  });
});
