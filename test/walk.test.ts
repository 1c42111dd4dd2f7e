/**
 * The walk of every RPC: as each role, as a portal session, with a bad key and with none, held against the table of
 * src/access/roles.ts; then with the ids of other tenants, and of other entities. What there is to call is read from the
 * descriptors, and what the server serves from the server, so that a new RPC comes into the walk by itself.
 */
import { create, type DescField, type DescMessage, type DescMethod, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ServerReflection } from "../gen/grpc/reflection/v1/reflection_pb.js";
import { AccessService, Role as WireRole } from "../gen/passbus/v1/access_service_pb.js";
import { DeliveryService } from "../gen/passbus/v1/delivery_service_pb.js";
import { InspectorService } from "../gen/passbus/v1/inspector_service_pb.js";
import { PassEventSchema, PassEventType } from "../gen/passbus/v1/pass_event_pb.js";
import { Format } from "../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../gen/passbus/v1/subscription_service_pb.js";
import type { Grant, Role } from "../src/access/access-store.ts";
import { isOpenToAnyone, METHOD_ACCESS, mayCall, ROLES } from "../src/access/roles.ts";
import { portalRules } from "../src/api/access-portal.ts";
import { Replays } from "../src/delivery/replays.ts";
import { type Clock, systemClock } from "../src/kernel/clock.ts";
import { idSource } from "../src/kernel/ids.ts";
import { systemRandom } from "../src/kernel/random.ts";
import type { Tenant } from "../src/kernel/tenant.ts";
import { event, finished } from "./contracts/rows.ts";
import { type TestApi, testApi } from "./support/api.ts";
import { embeddedStore } from "./support/embedded-store.ts";
import { type Answer, Caller, type Fields, METHODS, nameOf, SERVICES } from "./support/everyone.ts";
import { grpcWithKey } from "./support/grpc.ts";
import { sampleLetter } from "./support/samples.ts";

/** Bad keys are forgiven before the next one comes: the slow-down has tests of its own. */
const forgiving: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() * 10_000 };

const ACME: Tenant = { organisation: "acme", environment: "production" };
const ACME_TEST: Tenant = { organisation: "acme", environment: "test" };
const GLOBEX: Tenant = { organisation: "globex", environment: "production" };

const store = embeddedStore();
let api: TestApi;
beforeAll(async () => {
  const ids = idSource(forgiving, systemRandom);
  api = await testApi({
    clock: forgiving,
    deliveryLog: store.deliveries,
    subscriptionStore: store.subscriptions,
    feed: store.feed,
    replays: new Replays({ store: store.replays, feed: store.feed, clock: forgiving, ids, wakeWorkers: () => {} }),
  });
});
afterAll(() => api.stop(0));

/** One of everything that has an id. */
interface Things {
  readonly subscription: string;
  readonly event: string;
  readonly delivery: string;
  readonly replay: string;
  readonly key: string;
  readonly session: string;
  readonly deadLetter: string;
  readonly bin: string;
}

let made = 0;

/** `entityId` empty: the organisation's own. */
async function makeThings(tenant: Tenant, entityId = ""): Promise<Things> {
  made += 1;
  const transport = grpcWithKey(api.url, api.stage.key("admin", tenant));
  const access = createClient(AccessService, transport);
  const { subscription } = await createClient(SubscriptionService, transport).createSubscription({
    subscription: { url: `https://example.com/${made}`, entityId, format: Format.PASSKIT },
  });
  const id = subscription?.id ?? "";
  const eventId = `evt_${made}`;
  const value = toBinary(
    PassEventSchema,
    create(PassEventSchema, { id: eventId, type: PassEventType.CREATED, entityId }),
  );
  const stored = event(eventId, { tenant, entityId, value, passId: `pass-${made}` });
  const delivery = finished(`dlv_${made}`, "failed", `att_${made}`, {
    tenant,
    eventId,
    subscriptionId: id,
    passId: `pass-${made}`,
  });
  await store.deliveries.flush({ events: [stored], deliveries: [{ kind: "first", delivery }] });
  const { replay } = await createClient(DeliveryService, transport).createReplay({
    replay: { filter: { passId: `pass-${made}` } },
  });
  const { key } = await access.createKey({ key: { role: WireRole.VIEWER } });
  const { session } = await access.createPortalSession({ entityId: "shop" });
  const [deadLetter = ""] = await api.stage.deadLetters.add(sampleLetter(made, {}, { tenant }));
  const { bin } = await createClient(InspectorService, transport).createBin({});
  const names = { replay: replay?.id ?? "", key: key?.id ?? "", session: session?.id ?? "", bin: bin?.id ?? "" };
  return { subscription: id, event: eventId, delivery: delivery.id, deadLetter, ...names };
}

const UNKNOWN: Things = {
  subscription: "sub_0",
  event: "evt_0",
  delivery: "dlv_0",
  replay: "rpl_0",
  key: "key_0",
  session: "ses_0",
  deadLetter: "dead_0",
  bin: "bin_0",
};

/** Of which kind the thing is that a field named `id` or `ids` means, by its method's name. */
function kindOf(method: DescMethod, path: string): keyof Things | undefined {
  if (/subscription[._]?id$/i.test(path)) return "subscription";
  if (/bin_id$/.test(path)) return "bin";
  if (/event_?id$/i.test(path)) return "event";
  if (/delivery_?id$/i.test(path)) return "delivery";
  if (!/(^|\.)ids?$/.test(path)) return undefined;
  const kinds = [
    [/Subscription|RotateSecret/, "subscription"],
    [/DeadLetter/, "deadLetter"],
    [/PortalSession/, "session"],
    [/Replay/, "replay"],
    [/Delivery/, "delivery"],
    [/Key/, "key"],
    [/Event$/, "event"],
  ] as const;
  return kinds.find(([pattern]) => pattern.test(method.name))?.[1];
}

/** Not the id of a thing that passbus made: names that callers choose, and what is new in what they ask for. */
const NAMES =
  /(^|\.)(organisation_id|entity_id|pass_id|classId|class_id|page_token|after_request_id)$|^events?\.|^io\.|passEventId|EventId|^target_|^replay\.(id|target)|^(key|session)\.id|^replay\.filter\.pass/;

const isText = (field: DescField): boolean =>
  (field.fieldKind === "scalar" || (field.fieldKind === "list" && field.listKind === "scalar")) && field.scalar === 9;

/** Every field of a request that holds an id: its path, and how deep messages are looked into. */
function idFields(method: DescMethod, desc: DescMessage = method.input, path = "", depth = 0): string[] {
  return desc.fields.flatMap((field) => {
    const at = path === "" ? field.name : `${path}.${field.name}`;
    if (field.fieldKind === "message" && depth < 2 && /^passbus\./.test(field.message.typeName)) {
      return idFields(method, field.message, at, depth + 1);
    }
    return isText(field) && /(^|_|\.)ids?$|[a-z]Id$/.test(at) && !NAMES.test(at) ? [at] : [];
  });
}

/** A request that names the things in all of its fields of ids; undefined where it has none. */
function naming(method: DescMethod, things: Things): Fields | undefined {
  if (/^(Create|create|Publish)/.test(method.name) && !/Replay/.test(method.name)) return undefined;
  const fields: Record<string, unknown> = {};
  for (const path of idFields(method)) {
    const kind = kindOf(method, path);
    if (kind === undefined) throw new Error(`${nameOf(method)}: what is named by ${path}? test/walk.test.ts must know`);
    set(fields, method.input, path.split("."), things[kind]);
  }
  return Object.keys(fields).length === 0 ? undefined : fields;
}

function set(fields: Record<string, unknown>, desc: DescMessage, [name = "", ...rest]: readonly string[], id: string) {
  const field = desc.fields.find((each) => each.name === name);
  if (field === undefined) throw new Error(`${desc.typeName} has no ${name}`);
  if (field.fieldKind === "message") {
    const inner = (fields[field.localName] ?? {}) as Record<string, unknown>;
    fields[field.localName] = inner;
    set(inner, field.message, rest, id);
  } else if (field.oneof !== undefined) {
    fields[field.oneof.localName] = { case: field.localName, value: id };
  } else {
    fields[field.localName] = field.fieldKind === "list" ? [id] : id;
  }
}

const textOf = (method: DescMethod, { message }: Answer): string =>
  message === undefined ? "" : toJsonString(method.output, message);

/** Not there, or there are none: nothing of the things is in the answer. */
function hidesAll(method: DescMethod, answer: Answer, things: Things): boolean {
  if (answer.code !== "ok") return answer.code === Code.NotFound;
  return Object.values(things).every((id) => !textOf(method, answer).includes(`"${id}"`));
}

const served = METHODS.filter((method) => !isOpenToAnyone(nameOf(method)));
/** Answered with UNIMPLEMENTED once the caller is let in: nothing can be seen of them. */
const isUnserved = (answer: Answer): boolean => answer.code === Code.Unimplemented;

describe("what is walked", () => {
  test("is what the server says that it serves", async () => {
    const reflection = createClient(ServerReflection, grpcWithKey(api.url, api.stage.key("viewer")));
    const requests = (async function* () {
      yield { messageRequest: { case: "listServices" as const, value: "" } };
    })();
    const listed: string[] = [];
    for await (const { messageResponse } of reflection.serverReflectionInfo(requests)) {
      if (messageResponse.case === "listServicesResponse") {
        listed.push(...messageResponse.value.service.map(({ name }) => name));
      }
    }
    const walked = SERVICES.map(({ typeName }) => typeName);
    expect(listed.sort()).toEqual(walked.sort());
  });

  test("has a row in the table each, and a rule where portal sessions may call it", () => {
    expect(METHODS.map(nameOf).sort()).toEqual([...METHOD_ACCESS.keys()].sort());
    const none = {
      subscriptions: { get: () => Promise.reject(new Error("not asked")) },
      deliveryLog: store.deliveries,
    };
    const open = [...METHOD_ACCESS].filter(([, { columns }]) => columns.has("portal")).map(([method]) => method);
    expect([...portalRules(none).keys()].sort()).toEqual(open.sort());
  });
});

describe("every RPC, as everybody", () => {
  const grants: readonly Grant[] = [...ROLES, "portal"];

  test.each([...grants, "a bad key", "no key"] as const)("%s", async (who) => {
    const grant = grants.find((each) => each === who);
    const key =
      grant === undefined ? undefined : grant === "portal" ? api.stage.session("shop") : api.stage.key(grant, GLOBEX);
    using caller = new Caller(api.url, who === "a bad key" ? `pb_production_${"0".repeat(32)}_${"0".repeat(64)}` : key);
    const wrong: string[] = [];
    let refused = 0;
    for (const method of METHODS) {
      const name = nameOf(method);
      const { code, text } = await caller.call(method);
      const isOut = code === Code.Unauthenticated || code === Code.PermissionDenied;
      const expected = isOpenToAnyone(name) ? undefined : denial(grant, name);
      if (isOut) refused += 1;
      // What is let in is answered somehow, but never with a mistake of passbus's own.
      const isRight =
        expected === undefined ? !isOut && code !== Code.Internal && code !== Code.Unknown : code === expected;
      if (!isRight) wrong.push(`${name}: ${code} ${text}`);
    }
    expect(wrong).toEqual([]);
    const allowed = grant === undefined ? 0 : served.filter((method) => mayCall(grant, nameOf(method))).length;
    expect(refused).toBe(served.length - allowed);
    expect(allowed > 0).toBe(grant !== undefined);
  });
});

function denial(grant: Grant | undefined, method: string): Code | undefined {
  if (grant === undefined) return Code.Unauthenticated;
  return mayCall(grant, method) ? undefined : Code.PermissionDenied;
}

/** Those that take something away come last, or the others would not find it. */
const rank = ({ name }: DescMethod): number => (/^delete/i.test(name) ? 2 : /^(revoke|cancel)/i.test(name) ? 1 : 0);
const ordered = served.toSorted((left, right) => rank(left) - rank(right));

describe("every RPC that names something", () => {
  /** What each role may call at least, of what names something. */
  const LEAST: Readonly<Record<Role, number>> = { admin: 25, operator: 22, publisher: 1, subscriber: 20, viewer: 8 };

  test.each([
    { from: ACME, to: GLOBEX },
    { from: ACME, to: ACME_TEST },
    { from: ACME_TEST, to: ACME },
  ])(
    "finds, as every role of $from.organisation/$from.environment, nothing of $to.organisation/$to.environment, in the words for what isn't there, and its own",
    async ({ from, to }) => {
      const [own, theirs] = [await makeThings(from), await makeThings(to)];
      for (const role of ROLES.toReversed()) {
        using caller = new Caller(api.url, api.stage.key(role, from));
        const open = ordered.filter((method) => mayCall(role, nameOf(method)));
        const walked = await expectHidden(caller, theirs, open);
        expect([role, walked >= LEAST[role]]).toEqual([role, true]);
        // The strongest comes last: it takes its own things away.
        const isLast = role === "admin";
        await expectFound(
          caller,
          own,
          open.filter((method) => (isLast ? method.name !== "deleteSinkSubscription" : rank(method) === 0)),
        );
      }
      // They are as they were for their owner.
      using owner = new Caller(api.url, api.stage.key("admin", to));
      await expectFound(owner, theirs, without("DeleteSubscription"));
    },
  );

  test("finds, for a portal session, its entity's and nothing else, of all that it may call", async () => {
    const [own, others, general] = [
      await makeThings(ACME, "shop"),
      await makeThings(ACME, "cafe"),
      await makeThings(ACME, ""),
    ];
    const foreign = await makeThings(GLOBEX, "shop");
    using session = new Caller(api.url, api.stage.session("shop", ACME));
    const open = ordered.filter((method) => mayCall("portal", nameOf(method)));
    let walked = 0;
    for (const things of [others, general, foreign]) {
      for (const method of open) {
        const fields = naming(method, things);
        if (fields === undefined) continue;
        const answer = await session.call(method, fields);
        walked += 1;
        expect([nameOf(method), answer.code]).toEqual([nameOf(method), Code.NotFound]);
      }
    }
    expect(walked).toBe(3 * open.filter((method) => naming(method, own) !== undefined).length);
    expect(walked).toBeGreaterThanOrEqual(3 * 13);
    await expectFound(session, own, open);
  });
});

/** How many methods were called that could have found something. */
async function expectHidden(caller: Caller, theirs: Things, methods: readonly DescMethod[]): Promise<number> {
  let walked = 0;
  for (const method of methods) {
    const [fields, nowhere] = [naming(method, theirs), naming(method, UNKNOWN)];
    if (fields === undefined || nowhere === undefined) continue;
    const answer = await caller.call(method, fields);
    if (isUnserved(answer)) continue;
    walked += 1;
    expect([nameOf(method), hidesAll(method, answer, theirs)]).toEqual([nameOf(method), true]);
    const unknown = await caller.call(method, nowhere);
    expect([nameOf(method), sayingOf(answer, theirs)]).toEqual([nameOf(method), sayingOf(unknown, UNKNOWN)]);
  }
  return walked;
}

/** What an answer says, with the ids that were asked for taken out. */
function sayingOf(answer: Answer, things: Things): string {
  if (answer.code === "ok") return "ok";
  return Object.values(things).reduce((text, id) => text.replaceAll(id, "…"), `${answer.code} ${answer.text}`);
}

/** What one of two ways has deleted, the other does not find. */
const without = (name: string) => ordered.filter((method) => method.name !== name);

async function expectFound(caller: Caller, things: Things, methods: readonly DescMethod[]): Promise<void> {
  for (const method of methods) {
    const fields = naming(method, things);
    if (fields === undefined) continue;
    const { code, text } = await caller.call(method, fields);
    const isHidden = code === Code.NotFound || code === Code.PermissionDenied || code === Code.Internal;
    expect([nameOf(method), isHidden ? text : "found"]).toEqual([nameOf(method), "found"]);
  }
}
