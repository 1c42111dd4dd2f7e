/** One beyond each limit that is answered with an error: its code, and a message that says the limit. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { Integrations } from "../../gen/io/integrations_pb.js";
import { AccessService, Role } from "../../gen/passbus/v1/access_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import type { AccessStore } from "../../src/access/access-store.ts";
import { Credentials } from "../../src/access/credentials.ts";
import { systemClock } from "../../src/kernel/clock.ts";
import { idSource } from "../../src/kernel/ids.ts";
import { LIMIT_ROWS, type LimitName } from "../../src/kernel/limit-rows.ts";
import { LIMITS } from "../../src/kernel/limits.ts";
import { systemRandom } from "../../src/kernel/random.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { grpcWithKey } from "../support/grpc.ts";

let api: TestApi;
let grpc: Transport;
let json: Transport;
let clients: {
  readonly events: Client<typeof EventService>;
  readonly subscriptions: Client<typeof SubscriptionService>;
  readonly access: Client<typeof AccessService>;
  readonly inspector: Client<typeof InspectorService>;
  readonly passkit: Client<typeof Integrations>;
};
beforeAll(async () => {
  api = await testApi();
  const key = api.stage.key("admin");
  grpc = grpcWithKey(api.url, key);
  json = createConnectTransport({
    baseUrl: api.url,
    httpVersion: "1.1",
    useBinaryFormat: false,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${key}`);
        return next(request);
      },
    ],
  });
  clients = {
    events: createClient(EventService, grpc),
    subscriptions: createClient(SubscriptionService, grpc),
    access: createClient(AccessService, grpc),
    inspector: createClient(InspectorService, grpc),
    passkit: createClient(Integrations, grpc),
  };
});
afterAll(() => api.stop(0));

type Subscription = NonNullable<
  Parameters<Client<typeof SubscriptionService>["createSubscription"]>[0]["subscription"]
>;
type Event = NonNullable<Parameters<Client<typeof EventService>["publishEvents"]>[0]["events"]>[number];

let made = 0;
const subscribe = (fields: Subscription) => {
  made += 1;
  return clients.subscriptions.createSubscription({
    subscription: { url: `https://example.com/${made}`, entityId: `e${made}`, ...fields } as Subscription,
  });
};
const policy = (fields: object) => subscribe({ policy: fields } as Subscription);
const publish = (event: object) =>
  clients.events.publishEvents({ events: [{ type: PassEventType.CREATED, pass: { id: "p" }, ...event } as Event] });
const seconds = (value: number) => ({ seconds: BigInt(Math.floor(value)), nanos: Math.round((value % 1) * 1e9) });
const ms = (value: number) => seconds(value / 1_000);
const text = (characters: number) => "x".repeat(characters);
const named = (count: number, value = "v") =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`x-${at}`, value]));

type Content = { readonly [key: string]: Content };
const nested = (levels: number): Content => (levels <= 1 ? {} : { a: nested(levels - 1) });

/** Until one fails; a limit that isn't there fails the test. */
async function until<T>(most: number, call: (at: number) => Promise<T>): Promise<T | undefined> {
  let last: T | undefined;
  for (let at = 0; at <= most; at++) last = await call(at);
  return last;
}

const BEYOND: Partial<Record<LimitName, () => Promise<unknown>>> = {
  eventBytes: () => publish({ pass: { id: "p", recordData: { a: text(LIMITS.eventBytes) } } }),
  redriveBatch: () => clients.events.redriveDeadLetters({ ids: Array(LIMITS.redriveBatch + 1).fill("ded_1") }),
  requestBytes: () => publish({ pass: { id: text(LIMITS.requestBytes) } }),
  requestItems: () => subscribe({ eventTypes: Array(LIMITS.requestItems + 1).fill(PassEventType.CREATED) }),
  publishBatch: () => clients.events.publishEvents({ events: Array(LIMITS.publishBatch + 1).fill({}) }),
  contentDepth: () => publish({ details: { content: nested(LIMITS.contentDepth + 1) } }),
  messageDepth: () =>
    createClient(EventService, json).publishEvents({
      events: [{ details: { content: nested(LIMITS.messageDepth + 10) } }],
    }),
  jsonDepth: () =>
    createClient(EventService, json).publishEvents(
      { events: [{ details: { content: nested(LIMITS.jsonDepth) } }] },
      {},
    ),
  jsonValues: () => createClient(EventService, json).publishEvents({ events: Array(LIMITS.jsonValues).fill({}) }),
  idCharacters: () => publish({ id: text(LIMITS.idCharacters + 1) }),
  descriptionCharacters: () => subscribe({ description: text(LIMITS.descriptionCharacters + 1) }),
  labels: () => subscribe({ labels: named(LIMITS.labels + 1) }),
  labelCharacters: () => subscribe({ labels: { a: text(LIMITS.labelCharacters + 1) } }),
  customHeaders: () => subscribe({ headers: named(LIMITS.customHeaders + 1) }),
  customHeaderBytes: () => subscribe({ headers: { "x-a": text(LIMITS.customHeaderBytes) } }),
  authorizationCharacters: () =>
    subscribe({ formatOptions: { ethpassAuthorization: text(LIMITS.authorizationCharacters + 1) } }),
  filterCharacters: () => subscribe({ filter: text(LIMITS.filterCharacters + 1) }),
  filterNodes: () => subscribe({ filter: Array(LIMITS.filterNodes).fill("true").join("&&") }),
  filterDepth: () =>
    subscribe({ filter: `${"[".repeat(LIMITS.filterDepth + 1)}1${"]".repeat(LIMITS.filterDepth + 1)} == []` }),
  retrySteps: () => policy({ retrySchedule: Array(LIMITS.retrySteps + 1).fill(seconds(1)) }),
  retryStepMinMs: () => policy({ retrySchedule: [ms(LIMITS.retryStepMinMs - 1)] }),
  retryStepMaxMs: () => policy({ retrySchedule: [ms(LIMITS.retryStepMaxMs + 1_000)] }),
  attemptTimeoutMinMs: () => policy({ attemptTimeout: ms(LIMITS.attemptTimeoutMinMs - 1) }),
  attemptTimeoutMaxMs: () => policy({ attemptTimeout: ms(LIMITS.attemptTimeoutMaxMs + 1) }),
  maxInFlight: () => policy({ maxInFlight: LIMITS.maxInFlight + 1 }),
  rateMin: () => policy({ ratePerSecond: LIMITS.rateMin / 2 }),
  rateMax: () => policy({ ratePerSecond: LIMITS.rateMax + 1 }),
  burst: () => policy({ ratePerSecond: 1, burst: LIMITS.burst + 1 }),
  organisationSubscriptions: () =>
    until(LIMITS.organisationSubscriptions, (at) => subscribe({ entityId: "", url: `https://example.com/o${at}` })),
  entitySubscriptions: () =>
    until(LIMITS.entitySubscriptions, (at) => subscribe({ entityId: "one", url: `https://example.com/e${at}` })),
  subscriptionsSettable: () =>
    clients.access.setLimits({ limits: { organisationSubscriptions: LIMITS.subscriptionsSettable + 1 } }),
  ratesSettable: () => clients.access.setLimits({ limits: { callsPerSecond: LIMITS.ratesSettable + 1 } }),
  retentionMinMs: () => clients.access.setLimits({ limits: { eventRetention: ms(LIMITS.retentionMinMs - 1_000) } }),
  retentionMaxMs: () => clients.access.setLimits({ limits: { eventRetention: ms(LIMITS.retentionMaxMs + 1_000) } }),
  rotationOverlapMs: async () => {
    const { subscription } = await subscribe({});
    const overlap = ms(LIMITS.rotationOverlapMs + 1_000);
    return clients.subscriptions.rotateSecret({ id: subscription?.id ?? "", overlap });
  },
  passkitConfigurationCharacters: () =>
    clients.passkit.createSinkSubscription({
      configuration: `{"url":"https://example.com/${text(LIMITS.passkitConfigurationCharacters)}"}`,
    }),
  wireDepth: () => publish({ details: { content: nested(LIMITS.wireDepth) } }),
  portalSessions: async () => {
    // Ten thousand calls would take a minute: it is a full store that is met.
    const store = { countLiveSessions: async () => LIMITS.portalSessions } as Partial<AccessStore> as AccessStore;
    const ids = idSource(systemClock, systemRandom);
    const credentials = new Credentials({ store, clock: systemClock, ids, random: systemRandom });
    await using full = await testApi({ credentials });
    const access = createClient(AccessService, grpcWithKey(full.url, full.stage.key("admin")));
    return await access.createPortalSession({ entityId: "shop" });
  },
  bins: () => until(LIMITS.bins, () => clients.inspector.createBin({})),
  keys: () => until(LIMITS.keys, () => clients.access.createKey({ key: { role: Role.VIEWER } })),
};

/** Met beside the sources, where what takes them is at hand: each file says the limit's name, or its error's code. */
const ELSEWHERE: Partial<Record<LimitName, string>> = {
  webhookBytes: "src/formats/dialects.test.ts",
  streamsPerKey: "src/api/streams.test.ts",
  streamsPerOrganisation: "src/api/streams.test.ts",
  streams: "src/api/streams.test.ts",
  liveStreamsPerKey: "src/api/streams.test.ts",
  liveStreamsPerOrganisation: "src/api/streams.test.ts",
  liveStreams: "src/api/streams.test.ts",
  streamsPerSession: "src/api/portal-streams.test.ts",
  streamsPerEntity: "src/api/portal-streams.test.ts",
  sessionStreamsPerOrganisation: "src/api/portal-streams.test.ts",
  liveStreamsPerSession: "src/api/portal-streams.test.ts",
  liveStreamsPerEntity: "src/api/portal-streams.test.ts",
  sessionLiveStreamsPerOrganisation: "src/api/portal-streams.test.ts",
  sessionCallsPerSecond: "src/access/rates.test.ts",
  sessionCallBurst: "src/access/rates.test.ts",
  entityCallsPerSecond: "src/access/rates.test.ts",
  entityCallBurst: "src/access/rates.test.ts",
  organisationCallShares: "src/access/rates.test.ts",
  keylessBytes: "test/hostile/bodies.test.ts",
  reflectionBytes: "test/hostile/bodies.test.ts",
  bodyBytes: "src/api/bodies.test.ts",
  bodyBytesPerOrganisation: "src/api/bodies.test.ts",
  sessionRequestBytes: "test/hostile/bodies.test.ts",
  bodyBytesPerSession: "src/api/bodies.test.ts",
  bodyBytesPerEntity: "src/api/bodies.test.ts",
  sessionBodyBytesPerOrganisation: "src/api/bodies.test.ts",
  sessionBodyBytes: "src/api/bodies.test.ts",
  keylessStreams: "test/hostile/keyless.test.ts",
  keylessStreamsPerPeer: "test/hostile/keyless.test.ts",
  keylessStreamsPerSecond: "test/hostile/keyless.test.ts",
  keyCertificates: "src/access/certificates.test.ts",
  tokenCharacters: "src/access/tokens.test.ts",
  pemCharacters: "src/subscriptions/endpoint-tls.test.ts",
  statsPoints: "src/delivery/series.test.ts",
  urlCharacters: "src/kernel/url.test.ts",
  directSends: "src/api/direct-slots.test.ts",
  directSendsPerOrganisation: "src/api/webhook-calls.test.ts",
  directSendsPerSession: "src/api/direct-slots.test.ts",
  directSendsPerEntity: "src/api/direct-slots.test.ts",
  sessionDirectSendsPerOrganisation: "src/api/direct-slots.test.ts",
  sessionDirectSends: "src/api/direct-slots.test.ts",
  passkitClassSubscriptions: "src/subscriptions/passkit-scope.test.ts",
  filterCost: "src/matching/filter-cost.test.ts",
  openReplays: "src/api/replay-calls.test.ts",
  responseHeaderBytes: "src/adapters/http/sender.test.ts",
  interimResponses: "src/adapters/http/sender.test.ts",
};

/** Met by no test: it takes 10,001 subscriptions of PassKit's. */
const UNMET: ReadonlySet<LimitName> = new Set(["passkitSortedSubscriptions"]);

const ROOT = join(import.meta.dirname, "..", "..");

const withErrors = Object.entries(LIMIT_ROWS).flatMap(([name, row]) =>
  "error" in row ? [{ name: name as LimitName, error: row.error }] : [],
);

describe("one beyond the limit", () => {
  test.each(withErrors.filter(({ name }) => BEYOND[name] !== undefined))(
    "$name is $error",
    { timeout: 60_000 },
    async ({ name, error }) => {
      const refused: unknown = await BEYOND[name]?.().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(refused).toBeInstanceOf(ConnectError);
      const refusal = ConnectError.from(refused);
      expect([refusal.findDetails(ErrorInfoSchema)[0]?.reason, refusal.rawMessage]).toEqual([
        error,
        expect.stringMatching(/./),
      ]);
    },
  );
});

test("none that is answered with an error is left out", () => {
  const missing = withErrors.filter(({ name, error }) => {
    if (BEYOND[name] !== undefined || UNMET.has(name)) return false;
    const file = ELSEWHERE[name];
    const source = file === undefined ? "" : readFileSync(join(ROOT, file), "utf8");
    return !source.includes(`LIMITS.${name}`) && !source.includes(error) && !source.includes(String(LIMITS[name]));
  });
  expect(missing).toEqual([]);
});
