/**
 * The walk of every RPC from an environment that isn't `production`: as each role, of the organisation that is aimed at and
 * of the one that runs passbus. Requests name whole organisations wherever a request can. What environments share is as it
 * was for their production afterwards, so that an RPC that begins to cross them is found whether the table says so or not.
 */
import type { DescField, DescMessage, DescMethod } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { beforeEach, describe, expect, test } from "vitest";
import { AccessService, DeliverySwitchScope as Scope, Role as WireRole } from "../gen/passbus/v1/access_service_pb.js";
import { DeliveryService } from "../gen/passbus/v1/delivery_service_pb.js";
import { InspectorService } from "../gen/passbus/v1/inspector_service_pb.js";
import { SubscriptionService } from "../gen/passbus/v1/subscription_service_pb.js";
import { isForProduction, mayCall, ROLES } from "../src/access/roles.ts";
import type { Erasures } from "../src/delivery/erasures.ts";
import { TENANT, type TestApi, testApi } from "./support/api.ts";
import { Caller, type Fields, METHODS, nameOf } from "./support/everyone.ts";
import { grpcWithKey } from "./support/grpc.ts";

/** Those that change what environments have together. */
const CROSSING = ["DeleteOrganisation", "SetDeliverySwitch", "SetLimits"].map(
  (name) => `passbus.v1.AccessService/${name}`,
);

const HOOLI = "hooli";

let api: TestApi;
let stack: AsyncDisposableStack;
/** Organisations that were erased. */
const erased: string[] = [];
const erase: Erasures["erase"] = async (target) => {
  if (target.kind === "organisation") erased.push(target.organisation);
  return { id: "ers_1", events: 0, deliveries: 0, deadLetters: 0, others: 1, isDone: true };
};

beforeEach(async () => {
  erased.length = 0;
  stack = new AsyncDisposableStack();
  api = stack.use(await testApi({ erasures: { erase } }));
  return () => stack.disposeAsync();
});

/** A request that asks for as much as it can of the organisation: each scope comes in a request of its own. */
function requestsOf(method: DescMethod, organisation: string): readonly Fields[] {
  const scopes = method.input.fields.some(({ name }) => name === "scope") ? [Scope.ORGANISATION, Scope.SERVICE] : [0];
  return scopes.map((scope) => aimedAt(method.input, organisation, scope));
}

function aimedAt(message: DescMessage, organisation: string, scope: Scope, depth = 0): Fields {
  const fields = message.fields.flatMap((field) => {
    const value = aimed(field, organisation, scope, depth);
    return value === undefined ? [] : [[field.localName, value] as const];
  });
  return Object.fromEntries(fields);
}

function aimed(field: DescField, organisation: string, scope: Scope, depth: number): unknown {
  if (/^(organisation_id|confirmation)$/.test(field.name)) return organisation;
  if (field.name === "environment") return "production";
  if (field.name === "scope") return scope;
  if (field.name === "stopped") return true;
  if (/_subscriptions$|_per_second$/.test(field.name)) return 1;
  const isOurs = field.fieldKind === "message" && /^passbus\./.test(field.message.typeName);
  return isOurs && depth < 2 ? aimedAt(field.message, organisation, scope, depth + 1) : undefined;
}

/** All that its production has of what could be shared. */
async function seenFromProduction(organisation: string): Promise<unknown> {
  const transport = grpcWithKey(api.url, api.stage.key("admin", { organisation, environment: "production" }));
  const access = createClient(AccessService, transport);
  const deliveries = createClient(DeliveryService, transport);
  return {
    limits: await access.getLimits({}),
    switches: await access.getDeliverySwitch({}),
    keys: await access.listKeys({}),
    sessions: await access.listPortalSessions({}),
    subscriptions: await createClient(SubscriptionService, transport).listSubscriptions({}),
    replays: await deliveries.listReplays({}),
    bins: await createClient(InspectorService, transport).listBins({}),
    erased: [...erased],
  };
}

async function fill(organisation: string): Promise<void> {
  const transport = grpcWithKey(api.url, api.stage.key("admin", { organisation, environment: "production" }));
  const access = createClient(AccessService, transport);
  await access.createKey({ key: { role: WireRole.VIEWER } });
  await access.createPortalSession({ entityId: "shop" });
  await createClient(InspectorService, transport).createBin({});
  await createClient(SubscriptionService, transport).createSubscription({
    subscription: { url: `https://${organisation}.example/` },
  });
}

test("what changes all environments is marked so in the table, and nothing else is", () => {
  expect(METHODS.map(nameOf).filter(isForProduction).sort()).toEqual(CROSSING);
});

describe.each([
  ["its own organisation", HOOLI, HOOLI],
  ["another, as the organisation that runs passbus", TENANT.organisation, HOOLI],
  ["all, as the organisation that runs passbus", TENANT.organisation, TENANT.organisation],
])("from another environment, aiming at %s", (_, own, aim) => {
  test.each(ROLES)("%s", async (role) => {
    await fill(aim);
    const before = await seenFromProduction(aim);
    using caller = new Caller(api.url, api.stage.key(role, { organisation: own, environment: "staging" }));
    const refused = new Set<string>();
    for (const method of METHODS) {
      for (const fields of requestsOf(method, aim)) {
        const { code } = await caller.call(method, fields);
        if (code === Code.PermissionDenied) refused.add(nameOf(method));
      }
    }
    expect(await seenFromProduction(aim)).toEqual(before);
    for (const name of CROSSING) expect([name, refused.has(name)]).toEqual([name, true]);
    const denied = [...refused].filter((name) => mayCall(role, name) && !CROSSING.includes(name));
    // A key of another environment is asked for there.
    expect(denied.filter((name) => name !== "passbus.v1.AccessService/CreateKey")).toEqual([]);
  });
});

describe("from production", () => {
  test.each(CROSSING)("an administrator may call %s, for the whole organisation", async (name) => {
    const before = await seenFromProduction(HOOLI);
    using caller = new Caller(api.url, api.stage.key("admin", { organisation: HOOLI, environment: "production" }));
    const method = METHODS.find((each) => nameOf(each) === name);
    if (method === undefined) throw new Error(`there is no ${name}`);
    const [fields = {}] = requestsOf(method, HOOLI);
    const asked = name.endsWith("SetLimits")
      ? { organisationId: HOOLI, limits: { organisationSubscriptions: 1 } }
      : fields;
    expect((await caller.call(method, asked)).code).toBe("ok");
    expect(await seenFromProduction(HOOLI)).not.toEqual(before);
  });
});
