import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { DeliverySwitchScope as Scope } from "../../gen/passbus/v1/access_service_pb.js";
import { type Fields, METHODS, nameOf } from "../../test/support/everyone.ts";
import { METHOD_ACCESS } from "../access/roles.ts";
import { targetOf } from "./audit-target.ts";

const tenant = { organisation: "acme", environment: "production" };
const PASSBUS = "passbus.v1.";
const PASSKIT = "io.Integrations/";

type Sample = readonly [method: string, request: Fields, response: Fields, target: string | RegExp];

/** One call of each: what it asks, what it is answered, and what the record says that it was about. */
const SAMPLES: readonly Sample[] = [
  ["SubscriptionService/CreateSubscription", { subscription: {} }, { subscription: { id: "sub_1" } }, "sub_1"],
  ["SubscriptionService/UpdateSubscription", { subscription: { id: "sub_1" } }, {}, "sub_1"],
  ["SubscriptionService/DeleteSubscription", { id: "sub_1" }, {}, "sub_1"],
  ["SubscriptionService/RotateSecret", { id: "sub_1" }, { secret: "whsec_1" }, "sub_1"],
  ["SubscriptionService/TestSubscription", { id: "sub_1" }, {}, "sub_1"],
  ["EventService/RedriveDeadLetters", { ids: ["dead_1", "dead_2"] }, { redriven: 2 }, "dead_1"],
  ["EventService/ErasePass", { passId: "pass-1" }, {}, /^ers_[\w-]{10,}$/],
  ["DeliveryService/RetryDelivery", { id: "dlv_1" }, {}, "dlv_1"],
  ["DeliveryService/CancelDelivery", { id: "dlv_1" }, {}, "dlv_1"],
  [
    "DeliveryService/CreateReplay",
    { replay: { filter: { subscriptionId: "sub_1" } } },
    { replay: { id: "rpl_1" } },
    "rpl_1",
  ],
  ["DeliveryService/PauseReplay", { id: "rpl_1" }, {}, "rpl_1"],
  ["DeliveryService/ResumeReplay", { id: "rpl_1" }, {}, "rpl_1"],
  ["DeliveryService/CancelReplay", { id: "rpl_1" }, {}, "rpl_1"],
  ["InspectorService/CreateBin", {}, { bin: { id: "bin_1" } }, "bin_1"],
  ["InspectorService/DeleteBin", { binId: "bin_1" }, {}, "bin_1"],
  ["AccessService/CreateKey", { key: {} }, { key: { id: "key_1" }, secret: "pb_production_1_2" }, "key_1"],
  ["AccessService/RevokeKey", { id: "key_1" }, {}, "key_1"],
  ["AccessService/BindKeyCertificate", { id: "key_1" }, {}, "key_1"],
  ["AccessService/UnbindKeyCertificate", { id: "key_1", fingerprint: "5E:77" }, {}, "key_1"],
  ["AccessService/CreatePortalSession", { entityId: "shop" }, { session: { id: "ses_1" }, token: "pbs_1" }, "ses_1"],
  ["AccessService/RevokePortalSession", { id: "ses_1" }, {}, "ses_1"],
  ["AccessService/SetLimits", { organisationId: "globex" }, {}, "org_globex"],
  ["AccessService/SetDeliverySwitch", { scope: Scope.ORGANISATION, stopped: true }, {}, "org_acme/stopped"],
  ["AccessService/DeleteOrganisation", { organisationId: "globex" }, { id: "org_globex" }, "org_globex"],
];
const PASSKIT_SAMPLES: readonly Sample[] = [
  ["createSinkSubscription", {}, { id: "sub_1" }, "sub_1"],
  ["getSinkSubscription", { subscriptionId: "sub_1" }, { id: "sub_1" }, "sub_1"],
  ["updateSinkSubscription", { id: "sub_1" }, { id: "sub_1" }, "sub_1"],
  ["deleteSinkSubscription", { subscriptionId: "sub_1" }, {}, "sub_1"],
];
/** Answered with what to use instead (src/api/integrations.ts): they change nothing, and leave no record. */
const UNSERVED = ["createIntegrations", "updateIntegrations", "deleteIntegrations", "callDynamicApi"];

const samples: readonly Sample[] = [
  ...SAMPLES.map(([name, ...rest]) => [PASSBUS + name, ...rest] as const),
  ...PASSKIT_SAMPLES.map(([name, ...rest]) => [PASSKIT + name, ...rest] as const),
];

const audited = [...METHOD_ACCESS].filter(([, { columns }]) => columns.has("audited")).map(([method]) => method);

const saying = (action: string, request: unknown, response?: unknown) =>
  targetOf({ action, tenant, request, response });

describe("what an audit record says that a call was about", () => {
  test("is known of each method that is audited", () => {
    const known = [...samples.map(([method]) => method), ...UNSERVED.map((name) => PASSKIT + name)];
    expect(known.sort()).toEqual(audited.sort());
  });

  test.each(samples)("of %s", (name, request, response, target) => {
    const method = METHODS.find((each) => nameOf(each) === name);
    if (method === undefined) throw new Error(`there is no ${name}`);
    const told = saying(name, create(method.input, request), create(method.output, response));
    expect(told).toEqual(typeof target === "string" ? target : expect.stringMatching(target));
  });

  test.each([
    [{ scope: Scope.ORGANISATION }, "org_acme/started"],
    [{ scope: Scope.SERVICE, stopped: true }, "service/stopped"],
    [{ scope: Scope.SERVICE }, "service/started"],
    [{ stopped: true }, ""],
  ])("of a switch, %j: %s", (request, target) => {
    expect(saying("passbus.v1.AccessService/SetDeliverySwitch", request)).toBe(target);
  });

  test("is the caller's organisation where none is named, and nobody's text", () => {
    const limits = "passbus.v1.AccessService/SetLimits";
    expect(saying(limits, { organisationId: "" })).toBe("org_acme");
    for (const text of ["not a name", "x".repeat(65), "org/1"]) {
      expect(saying(limits, { organisationId: text })).toBe("");
      expect(saying("passbus.v1.InspectorService/DeleteBin", { binId: text })).toBe("");
    }
    expect(saying("passbus.v1.EventService/ErasePass", { passId: "Mallory Smith" })).not.toContain("Mallory");
  });
});
