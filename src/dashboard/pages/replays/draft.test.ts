import { describe, expect, it } from "vitest";
import { DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { draftOf, leftOut, replayOf } from "./draft.ts";

const NONE = { subscription: "", status: "", pass: "", event: "", since: "", from: "", to: "" };

describe("a replay made from the log's filters", () => {
  it("takes over what it can", () => {
    const filters = { ...NONE, subscription: "sub_1", status: "failed", pass: " pass-1 " };
    expect(leftOut(filters)).toEqual([]);
    expect(replayOf(draftOf(filters)).filter).toMatchObject({
      subscriptionId: "sub_1",
      passId: "pass-1",
      status: DeliveryStatus.FAILED,
    });
  });

  it.each(["waiting", "attempting", "held"])("says that it leaves out the status %s", (status) => {
    expect(leftOut({ ...NONE, status })).toEqual([`the status ${status}: a replay sends only what has ended`]);
  });

  it("says that it leaves out an event id", () => {
    expect(leftOut({ ...NONE, event: " event-1 " })).toEqual(["the event id event-1"]);
    expect(leftOut({ ...NONE, event: "  " })).toEqual([]);
  });
});
