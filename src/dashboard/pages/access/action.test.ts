import { describe, expect, it } from "vitest";
import { actionOf, SHORT_ACTIONS, shortAction } from "./action.ts";

describe("what the audit log is asked for", () => {
  it.each([
    ["passbus.v1.AccessService/CreateKey", "passbus.v1.AccessService/CreateKey"],
    ["SubscriptionService/CreateSubscription", "passbus.v1.SubscriptionService/CreateSubscription"],
    [" createkey ", "passbus.v1.AccessService/CreateKey"],
    ["io.Integrations/getSinkSubscription", "io.Integrations/getSinkSubscription"],
    ["another.v1.Service/Do", "another.v1.Service/Do"],
    ["", ""],
  ])("takes %j for %j", (typed, action) => {
    expect(actionOf(typed)).toBe(action);
  });

  it("finds each by what the table shows of it", () => {
    expect(SHORT_ACTIONS.length).toBeGreaterThan(30);
    expect(SHORT_ACTIONS.map((short) => shortAction(actionOf(short)))).toEqual(SHORT_ACTIONS);
  });
});
