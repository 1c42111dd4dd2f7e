import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MembershipEventId } from "../../gen/io/integrations_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { answer, engineSetup } from "../../test/support/engine.ts";
import { sampleEvent, sampleSubscription, TENANT } from "../../test/support/samples.ts";
import { DEFAULT_POLICY, type Subscription } from "../domain/subscription.ts";
import type { ChainRow } from "./chains-store.ts";
import { foldsOf } from "./conflation.ts";

const { UPDATED, SCANNED } = PassEventType;

/**
 * `U2w`: sequence 2, an update that waits; `m`: attempted by us, `a`: by another, `h`: held; `S`: a scan, `P`: an update
 * with a membership event.
 */
function rowOf(text: string): ChainRow {
  const states = { w: "waiting", m: "attempting", a: "attempting", h: "held" } as const;
  const state = text.at(-1) as keyof typeof states;
  const sequence = Number(text.slice(1, -1));
  const eventType = text.startsWith("S") ? SCANNED : UPDATED;
  const row = { id: text.slice(0, -1), eventType, status: states[state], sequence, fence: 1 };
  return text.startsWith("P") ? { ...row, protocolEvent: true } : row;
}

function folds(...rows: readonly string[]): readonly string[] {
  const mine = new Map(rows.filter((text) => text.endsWith("m")).map((text) => [text.slice(0, -1), { fence: 1 }]));
  return foldsOf(TENANT, rows.map(rowOf), mine).map(
    ({ folded, into, claim }) => `${folded.map(({ id }) => id).join("+")} into ${into.id}${claim ? ", claimed" : ""}`,
  );
}

describe("foldsOf", () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ["one alone goes as it is", ["U1m"], []],
    ["what follows it without a break becomes the newest", ["U1m", "U2w", "U3h"], ["U1+U2 into U3, claimed"]],
    ["a newest that was claimed too needs no claim", ["U1m", "U2m", "U3m"], ["U1+U2 into U3"]],
    ["another type ends it", ["U1m", "S2w", "U3w"], []],
    [
      "each side of another type is for itself",
      ["U1m", "U2w", "S3m", "U4m", "U5w"],
      ["U1 into U2, claimed", "U4 into U5, claimed"],
    ],
    ["one with a membership event ends it too", ["U1m", "U2w", "P3w", "U4w"], ["U1 into U2, claimed"]],
    ["and is folded into nothing", ["P1m", "P2m", "U3w"], []],
    ["one that another worker attempts ends it", ["U1m", "U2a", "U3w"], []],
    ["a run without anything claimed is left alone", ["U1m", "S2w", "U3w", "U4w"], []],
    ["nothing is open any more", [], []],
  ])("%s", (_what, rows, expected) => {
    expect(folds(...rows)).toEqual(expected);
  });

  test("one whose claim is over by now is another's", () => {
    const rows = [{ ...rowOf("U1a"), fence: 2 }, rowOf("U2w")];
    expect(foldsOf(TENANT, rows, new Map([["U1", { fence: 1 }]]))).toEqual([]);
  });
});

const POLICY = { ...DEFAULT_POLICY, conflate: true, retryScheduleMs: Array.from({ length: 20 }, () => 1_000) };

function setup(policy: Subscription["policy"] = POLICY) {
  const parts = engineSetup();
  parts.engine.start();
  parts.store.put(sampleSubscription({ policy }));
  const named = new Map<string, string>();
  const event = (name: string, type = UPDATED, passId = "pass-1") => {
    const made = sampleEvent(name, { type, passId });
    named.set(parts.idOf(made, "sub_1"), name);
    return made;
  };
  const sent = () => parts.sender.requests.map(({ headers }) => named.get(String(headers["webhook-id"])));
  return { ...parts, event, sent };
}

describe("an endpoint that is behind", () => {
  test.each(["none", "perPass"] as const)("gets the newest of a pass's updates (ordering %s)", async (ordering) => {
    const { sender, event, take, pass, sent, row } = setup({ ...POLICY, ordering });
    sender.reply = () => answer(503);
    const events = ["u1", "u2", "u3"].map((name) => event(name));
    await take(...events);
    await pass(100);
    sender.reply = () => answer(200);
    sender.requests.length = 0;
    await pass(3_000);
    expect(sent()).toEqual(["u3"]);
    const [one, two, three] = events.map((each) => row(each, "sub_1"));
    expect(three?.status).toBe("delivered");
    expect(one).toMatchObject({ status: "cancelled", foldedInto: three?.id });
    expect(two).toMatchObject({ status: "cancelled", foldedInto: three?.id });
  });

  test("is told of every event of another type, in its place", async () => {
    const { sender, event, take, pass, sent } = setup({ ...POLICY, ordering: "perPass" });
    sender.reply = () => answer(503);
    await take(
      event("u1"),
      event("u2"),
      event("s1", SCANNED),
      event("u3"),
      event("u4"),
      event("u5", UPDATED, "pass-2"),
    );
    await pass(100);
    sender.reply = () => answer(200);
    sender.requests.length = 0;
    await pass(4_000);
    expect(sent().filter((name) => name !== "u5")).toEqual(["u2", "s1", "u4"]);
    expect(sent()).toContain("u5");
  });

  test("is told of every membership event that rides on an update", async () => {
    const { sender, event, take, pass, sent, row } = setup({ ...POLICY, ordering: "perPass" });
    sender.reply = () => answer(503);
    const earned = event("earned");
    earned.event.protocolEvent = {
      case: "membershipEvent",
      value: MembershipEventId.MEMBER_EVENT_ENROLLED,
    };
    await take(event("u1"), earned, event("u2"), event("u3"));
    await pass(100);
    sender.reply = () => answer(200);
    sender.requests.length = 0;
    await pass(4_000);
    expect(sent()).toEqual(["u1", "earned", "u3"]);
    expect(row(earned, "sub_1")).toMatchObject({ status: "delivered", protocolEvent: true });
  });

  test("is told of a pass that changes all the time", async () => {
    const { sender, event, take, pass, sent } = setup({ ...POLICY, ordering: "perPass", maxInFlight: 1 });
    sender.reply = () => answer(503);
    await take(event("u0"));
    await pass(100);
    sender.reply = () => answer(200);
    for (let at = 1; at < 40; at++) {
      await take(event(`u${at}`));
      await pass(100);
    }
    await pass(2_000);
    expect(sent().length).toBeGreaterThan(10);
    expect(sent().at(-1)).toBe("u39");
  });

  test("gets each for itself where conflation was not asked for", async () => {
    const { sender, event, take, pass, sent } = setup({ ...POLICY, conflate: false });
    sender.reply = () => answer(503);
    await take(event("u1"), event("u2"));
    await pass(100);
    sender.reply = () => answer(200);
    await pass(3_000);
    expect(sent().slice(2).sort()).toEqual(["u1", "u2"]);
  });

  test("gets each for itself where the store doesn't say what is open", async () => {
    const { sender, store, event, take, pass, sent } = setup();
    sender.reply = () => answer(503);
    await take(event("u1"), event("u2"));
    await pass(100);
    store.openInChains = () => Promise.reject(new Error("no answer"));
    sender.reply = () => answer(200);
    await pass(3_000);
    expect(sent().slice(2).sort()).toEqual(["u1", "u2"]);
  });
});

test("the newest state always arrives, whatever fails", async () => {
  const type = fc.constantFrom(UPDATED, UPDATED, UPDATED, SCANNED);
  const arrivals = fc.array(fc.record({ type, pass: fc.integer({ min: 1, max: 2 }), waits: fc.nat(4) }), {
    maxLength: 14,
  });
  await fc.assert(
    fc.asyncProperty(arrivals, fc.array(fc.boolean()), fc.boolean(), async (of, failures, isOrdered) => {
      const { sender, event, take, pass, row } = setup({ ...POLICY, ordering: isOrdered ? "perPass" : "none" });
      const fails = [...failures];
      sender.reply = () => answer(fails.shift() === true ? 503 : 200);
      const events = [];
      for (const [at, one] of of.entries()) {
        const made = event(`e${at}`, one.type, `pass-${one.pass}`);
        events.push(made);
        await take(made);
        await pass(50 * one.waits);
      }
      await pass(30_000);
      for (const [at, made] of events.entries()) {
        const { status, foldedInto } = row(made, "sub_1") ?? {};
        if (status === "delivered") continue;
        // What was folded into was open then: it was delivered, or folded into a newer one itself.
        const into = events.findIndex((other) => row(other, "sub_1")?.id === foldedInto);
        expect({ status, into: into > at, type: made.stored.type }).toEqual({
          status: "cancelled",
          into: true,
          type: UPDATED,
        });
      }
    }),
    { numRuns: 60 },
  );
});
