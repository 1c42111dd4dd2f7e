import { describe, expect, it } from "vitest";
import { DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { PassEventType } from "../../../../gen/passbus/v1/pass_event_pb.js";
import { draftOf, leftOut, replayOf } from "./draft.ts";

const NONE = { subscription: "", status: "", type: "", pass: "", event: "", since: "", from: "", to: "" };

describe("a replay made from the log's filters", () => {
  it("takes over what it can", () => {
    const filters = { ...NONE, subscription: "sub_1", status: "failed", type: "scanned", pass: " pass-1 " };
    expect(leftOut(filters)).toEqual([]);
    expect(replayOf(draftOf(filters)).filter).toMatchObject({
      subscriptionId: "sub_1",
      passId: "pass-1",
      status: DeliveryStatus.FAILED,
      eventTypes: [PassEventType.SCANNED],
    });
  });

  it.each(["waiting", "attempting", "held"])("says that it leaves out the status %s", (status) => {
    expect(leftOut({ ...NONE, status })).toEqual([`the status ${status}: a replay sends only what has ended`]);
  });

  it("says that it leaves out a type of passbus's own", () => {
    const filters = { ...NONE, type: "delivery failed" };
    expect(leftOut(filters)).toEqual(["the event type delivery failed, which is passbus’s own"]);
    expect(replayOf(draftOf(filters)).filter).toMatchObject({ eventTypes: [] });
  });

  it("says that it leaves out an event id", () => {
    expect(leftOut({ ...NONE, event: " event-1 " })).toEqual(["the event id event-1"]);
    expect(leftOut({ ...NONE, event: "  " })).toEqual([]);
  });

  it("isn't made with a rate that can't be read, which would be the default", () => {
    const draft = draftOf(NONE);
    expect(replayOf({ ...draft, rate: "" }).ratePerSecond).toBe(0);
    expect(replayOf({ ...draft, rate: "0.5" }).ratePerSecond).toBe(0.5);
    expect(() => replayOf({ ...draft, rate: "1e" })).toThrow("nothing was sent");
  });
});
