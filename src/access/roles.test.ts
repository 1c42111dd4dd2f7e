import type { DescService } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { Integrations } from "../../gen/io/integrations_pb.js";
import { AccessService, Role as WireRole } from "../../gen/passbus/v1/access_service_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import type { Role } from "./access-store.ts";
import {
  isAudited,
  isForProduction,
  isOpenToAnyone,
  isRole,
  METHOD_ACCESS,
  mayCall,
  methodsFor,
  ROLES,
} from "./roles.ts";

const ours: readonly DescService[] = [
  Integrations,
  AccessService,
  DeliveryService,
  EventService,
  InspectorService,
  SubscriptionService,
];

function methodsOf(services: readonly DescService[]): string[] {
  return services.flatMap((service) => service.methods.map((method) => `${service.typeName}/${method.name}`));
}

function allowed(role: Role): string[] {
  return methodsOf(ours)
    .filter((method) => mayCall(role, method))
    .map((method) => method.slice(method.indexOf("/") + 1))
    .sort();
}

describe("the table of roles", () => {
  test("has a row for each method that there is, and for nothing else", () => {
    expect([...METHOD_ACCESS.keys()].sort()).toEqual(methodsOf([...ours, Health, ServerReflection]).sort());
  });

  test("opens health and reflection to everyone, and nothing of ours", () => {
    expect(methodsOf([Health, ServerReflection]).every(isOpenToAnyone)).toBe(true);
    expect(methodsOf(ours).filter(isOpenToAnyone)).toEqual([]);
  });

  test("a method without a row is closed to every role", () => {
    for (const role of ROLES) expect(mayCall(role, "passbus.v1.EventService/DropEverything")).toBe(false);
    expect(isOpenToAnyone("passbus.v1.EventService/DropEverything")).toBe(false);
  });

  test("an admin may call everything, an operator all but the keys, the audit log and the end of an organisation", () => {
    expect(allowed("admin")).toHaveLength(methodsOf(ours).length);
    const missing = allowed("admin").filter((method) => !allowed("operator").includes(method));
    expect(missing).toEqual([
      ...["BindKeyCertificate", "CreateKey", "DeleteOrganisation", "ListAuditRecords", "ListKeys", "RevokeKey"],
      "UnbindKeyCertificate",
    ]);
  });

  test("what is neither a reading nor a publishing is audited, and of the readings the one that shows a secret", () => {
    const readsOrPublishes = /^(Get|List|Tail|Explain|Watch|Preview|Publish)/i;
    const names = (methods: readonly string[]) => methods.map((method) => method.slice(method.indexOf("/") + 1));
    const changes = methodsOf(ours).filter((method) => !readsOrPublishes.test(method.slice(method.indexOf("/") + 1)));
    expect(methodsOf(ours).filter(isAudited).sort()).toEqual(
      [...changes, "io.Integrations/getSinkSubscription"].sort(),
    );
    expect(names(changes)).toEqual(expect.arrayContaining(["CreateKey", "RotateSecret", "SetLimits"]));
  });

  test("a portal session gets what is of subscriptions, their events and deliveries; no keys, limits or replays", () => {
    const methods = methodsOf(ours).filter((method) => mayCall("portal", method));
    expect(methods).toEqual(methods.filter((method) => mayCall("subscriber", method)));
    expect(methods).toContain("passbus.v1.AccessService/GetCaller");
    expect(
      methods.filter((method) => /AccessService.(?!GetCaller)|io\.|Inspector|Replay|Publish|DeadLetter/.test(method)),
    ).toEqual([]);
    expect(methods).toContain("passbus.v1.SubscriptionService/RotateSecret");
  });

  test("what changes all environments of an organisation is for production's keys, and nothing else", () => {
    expect(methodsOf(ours).filter(isForProduction)).toEqual(
      ["SetLimits", "SetDeliverySwitch", "DeleteOrganisation"].map((name) => `passbus.v1.AccessService/${name}`),
    );
  });

  test("everybody who has a key may ask who they are", () => {
    for (const grant of [...ROLES, "portal"] as const) {
      expect(mayCall(grant, "passbus.v1.AccessService/GetCaller")).toBe(true);
      expect(methodsFor(grant, "staging")).toEqual(
        [...METHOD_ACCESS.keys()].filter((method) => mayCall(grant, method) && !isForProduction(method)),
      );
    }
    expect(methodsFor("operator", "production")).toContain("passbus.v1.AccessService/SetLimits");
  });

  test("a publisher may publish and read an event", () => {
    expect(allowed("publisher")).toEqual(["GetCaller", "GetEvent", "PublishEventStream", "PublishEvents"]);
  });

  test("a subscriber manages subscriptions, reads and sends again, and does not publish", () => {
    const methods = allowed("subscriber");
    expect(methods).toEqual(
      expect.arrayContaining(["CreateSubscription", "RotateSecret", "GetEvent", "RetryDelivery"]),
    );
    for (const method of ["PublishEvents", "ListDeadLetters", "CreateKey", "SetLimits"]) {
      expect(methods).not.toContain(method);
    }
  });

  test("a viewer only reads", () => {
    const reading = /^(Get|List|Tail|Explain|Watch)/i;
    expect(allowed("viewer").filter((method) => !reading.test(method))).toEqual([]);
    expect(allowed("viewer")).toContain("ListDeliveries");
  });
});

describe("isRole", () => {
  test("knows the roles of the API, and no other", () => {
    const named = Object.keys(WireRole).filter((name) => Number.isNaN(Number(name)) && name !== "UNSPECIFIED");
    expect(named.map((name) => name.toLowerCase())).toEqual([...ROLES]);
    expect(isRole("viewer")).toBe(true);
    expect(isRole("root")).toBe(false);
  });
});
