/**
 * The API: Connect services on one port for gRPC, gRPC-Web and Connect. A call passes the gate (who calls, and may
 * they), the body's limits, the deadline, and then its service, which turns messages into the rooms' types and back.
 * Nothing is reached without a key but health, reflection and the probes.
 */
import { type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.js";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { Integrations } from "../../gen/io/integrations_pb.js";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import type { AuditLog } from "../access/audit.ts";
import type { Authenticate } from "../access/authenticate.ts";
import type { Rates } from "../access/rates.ts";
import type { ChainStore } from "../delivery/chains-store.ts";
import type { ChangeFeed } from "../delivery/change-feed.ts";
import type { DeliveryLog } from "../delivery/delivery-store.ts";
import type { SwitchStore } from "../delivery/kill-switch.ts";
import type { KindFeed } from "../delivery/kind-feed.ts";
import type { Replays } from "../delivery/replays.ts";
import type { TestSendDeps } from "../delivery/test-send.ts";
import { watches } from "../delivery/watch.ts";
import { KindWatches } from "../delivery/watch-kinds.ts";
import type { ServiceRetention } from "../domain/retention.ts";
import type { Bins } from "../inspector/bins.ts";
import type { DeadLetterStore } from "../intake/dead-letters.ts";
import type { Publisher } from "../intake/publish.ts";
import type { PublishStream } from "../intake/publish-stream.ts";
import type { Redriver } from "../intake/redrive.ts";
import type { Clock } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Log } from "../kernel/log.ts";
import type { SubscriptionFeed } from "../matching/subscription-feed.ts";
import type { Keyring } from "../signing/keyring.ts";
import type { EndpointChallenge } from "../subscriptions/endpoint-challenge.ts";
import type { LimitStore } from "../subscriptions/limit-store.ts";
import type { SubscriptionService as Subscriptions } from "../subscriptions/subscription-service.ts";
import { accessRules } from "./access-interceptor.ts";
import type { KeyCallsDeps } from "./access-keys.ts";
import { accessService } from "./access-service.ts";
import { serveBins } from "./bin-requests.ts";
import { BodyBudget, mostBytesOf } from "./bodies.ts";
import { serveCalls } from "./calls.ts";
import { crossOrigin } from "./cors.ts";
import { dashboardFiles, type ServeDashboard } from "./dashboard-files.ts";
import { deliveryService } from "./delivery-service.ts";
import type { ErasureCallsDeps } from "./erasure-calls.ts";
import { eventService } from "./event-service.ts";
import { requestGate, stillAdmitted } from "./gate.ts";
import { healthService } from "./health.ts";
import { inspectorService } from "./inspector-service.ts";
import { type IntegrationCalls, integrationsService } from "./integrations.ts";
import { codedErrors, deadlines } from "./interceptors.ts";
import { forgetJson } from "./json-body.ts";
import type { PublicKeys } from "./key-set.ts";
import { pageHeaders } from "./page-headers.ts";
import { pageTokens } from "./page-tokens.ts";
import { type HttpResponse, type ListenAddress, openPort, type TlsFiles } from "./port.ts";
import { probes } from "./probes.ts";
import type { ReadReadiness } from "./readiness.ts";
import { reflectionService } from "./reflection.ts";
import { boundedLists } from "./request-lists.ts";
import type { StatsCallsDeps } from "./stats-calls.ts";
import { LIVE_STREAMS, Streams } from "./streams.ts";
import { type SubscriptionCalls, subscriptionService } from "./subscription-service.ts";

/** What the port needs, whatever is served on it. */
export interface PortDeps {
  readonly listen: ListenAddress;
  readonly tls?: TlsFiles;
  /** Origins whose pages may call from a browser; `*` is any. */
  readonly corsOrigins: readonly string[];
  /** Origins whose pages may frame the dashboard's; none by default. */
  readonly frameAncestors?: readonly string[];
  readonly readiness: ReadReadiness;
  readonly clock: Clock;
  readonly log: Log;
}

/** What the API needs of the rooms. */
export interface ApiDeps extends PortDeps, KeyCallsDeps, ErasureCallsDeps {
  readonly authenticate: Authenticate;
  readonly audit: Pick<AuditLog, "changed" | "refused">;
  readonly subscriptions: Pick<Subscriptions, SubscriptionCalls | IntegrationCalls>;
  readonly publisher: Publisher;
  readonly publishStream: PublishStream;
  readonly deliveryLog: DeliveryLog & Pick<ChainStore, "promote">;
  readonly changes: ChangeFeed;
  readonly kinds: KindFeed;
  readonly feed: Pick<SubscriptionFeed, "load">;
  readonly deadLetters: Pick<DeadLetterStore, "list">;
  readonly redriver: Redriver;
  readonly limits: LimitStore;
  readonly replays: Replays;
  readonly retention: ServiceRetention;
  readonly rates: Rates;
  readonly switches: SwitchStore;
  /** The organisation whose administrators may stop the whole service. */
  readonly operatedBy: string;
  /** What test sends and previews are made with. */
  readonly webhooks: TestSendDeps;
  readonly challenge: EndpointChallenge;
  readonly bins: Bins;
  /** Page tokens are sealed with it. */
  readonly keyring: Keyring;
  readonly stats: StatsCallsDeps["stats"];
  readonly endpoints: StatsCallsDeps["endpoints"];
  /** Those of v1a signatures. */
  readonly publicKeys: PublicKeys;
  /** Tells the workers that something is due now. */
  readonly wakeWorkers: () => void;
}

/** Four kilobytes of unknown fields unpack to two million objects, which a stream would hold as long as it lasts. */
const BINARY = { recursionLimit: LIMITS.wireDepth, readUnknownFields: false };
const WITH_UNKNOWN = { binaryOptions: { ...BINARY, readUnknownFields: true } };

export interface Api {
  /** Where it listens, with the port that it got. */
  readonly address: ListenAddress;
  /** `http://…` or `https://…`, without a slash at the end. */
  readonly url: string;
  /** Connections from now on are made with these files' texts (port.ts). */
  replaceTls(tls: TlsFiles): void;
  /** Not ready from now on; calls in flight end by themselves within `graceMs`, the rest is cut. */
  stop(graceMs: number): Promise<void>;
}

/** Served, and listed by reflection. */
const SERVED = [
  SubscriptionService,
  EventService,
  DeliveryService,
  InspectorService,
  AccessService,
  Integrations,
] as const;

/**
 * Smaller answers go out as they are. Packing the answer to a batch of 100 events (3 KB) took 7 % of the API's time;
 * lists of events and deliveries are worth it.
 */
const COMPRESSED_FROM_BYTES = 16 * 1_024;

export function startApi(deps: ApiDeps): Promise<Api> {
  const makeRouter: MakeRouter = (readiness, stopping) => apiRouter(deps, readiness, stopping);
  const bodies = new BodyBudget();
  const serveBin = serveBins(deps.bins, deps.clock, bodies);
  const serveFile = dashboardFiles();
  const pages: ServeDashboard = (request, response) => serveBin(request, response) || serveFile(request, response);
  return startPort(deps, { makeRouter, bodies, publicKeys: deps.publicKeys, dashboard: pages });
}

/** For a process without the role `api`: health and the probes, and no calls. */
export function startProbes(deps: PortDeps): Promise<Api> {
  const { clock } = deps;
  const readMaxBytes = mostBytesOf(Health);
  const makeRouter: MakeRouter = (readiness, stopping) =>
    createConnectRouter({ readMaxBytes }).service(Health, healthService({ readiness, clock, services: [], stopping }));
  return startPort(deps, { makeRouter, bodies: new BodyBudget(), dashboard: () => false });
}

type MakeRouter = (readiness: ReadReadiness, stopping: AbortSignal) => ConnectRouter;

/** What is served. */
interface Served {
  readonly makeRouter: MakeRouter;
  readonly bodies: BodyBudget;
  readonly publicKeys?: PublicKeys;
  readonly dashboard: ServeDashboard;
}

async function startPort(deps: PortDeps, { makeRouter, bodies, publicKeys, dashboard }: Served): Promise<Api> {
  const { clock, log } = deps;
  const stopping = new AbortController();
  const readiness: ReadReadiness = () =>
    stopping.signal.aborted ? { ready: false, reasons: ["stopping"] } : deps.readiness();
  const router = makeRouter(readiness, stopping.signal);
  const handleOrigin = crossOrigin(deps.corsOrigins);
  const headers = new Map(Object.entries(pageHeaders(deps.frameAncestors)));
  const setPageHeaders = (response: HttpResponse) => {
    for (const [name, value] of headers) response.setHeader(name, value);
  };
  const probe = probes(readiness, publicKeys);
  const serve = serveCalls({
    router,
    clock,
    log,
    bodies,
    otherwise: async (request, response) => {
      setPageHeaders(response);
      if (!dashboard(request, response)) await probe(request, response);
    },
  });
  const port = await openPort({
    listen: deps.listen,
    ...(deps.tls !== undefined && { tls: deps.tls }),
    clock,
    serve: (request, response, connection) => {
      if (!handleOrigin(request, response)) serve(request, response, connection);
    },
  });
  return {
    address: port.address,
    url: urlOf(port.address, deps.tls !== undefined),
    replaceTls: (tls) => port.replaceTls(tls),
    stop: (graceMs) => {
      stopping.abort();
      return port.stop(graceMs);
    },
  };
}

function apiRouter(deps: ApiDeps, readiness: ReadReadiness, stopping: AbortSignal) {
  const { clock, log } = deps;
  const services = SERVED.map((service) => service.typeName);
  const ofStreams = { authenticate: deps.authenticate, clock, stopping };
  const streamed = {
    ...deps,
    streams: new Streams(ofStreams),
    liveStreams: new Streams(ofStreams, LIVE_STREAMS),
    watches: watches(deps.changes, clock),
    kindWatches: new KindWatches({ kinds: deps.kinds, subscriptions: deps.feed, clock }),
  };
  const events = eventService(streamed);
  return (
    createConnectRouter({
      acceptCompression: [compressionGzip, compressionBrotli],
      compressMinBytes: COMPRESSED_FROM_BYTES,
      readMaxBytes: LIMITS.requestBytes,
      maxTimeoutMs: LIMITS.requestDeadlineMs,
      // Unknown fields and unknown enum names are mistakes that the caller wants to hear of.
      jsonOptions: { ignoreUnknownFields: false, recursionLimit: LIMITS.messageDepth },
      binaryOptions: BINARY,
      requestGate: requestGate(deps),
      interceptors: [
        forgetJson,
        codedErrors(log),
        deadlines(clock),
        pageTokens(deps.keyring),
        boundedLists,
        stillAdmitted(deps),
        accessRules(deps),
      ],
    })
      .service(SubscriptionService, subscriptionService(deps))
      .service(EventService, events)
      // In place of those two: of an event, what a newer passbus would understand is kept.
      .rpc(EventService.method.publishEvents, events.publishEvents, WITH_UNKNOWN)
      .rpc(EventService.method.publishEventStream, events.publishEventStream, WITH_UNKNOWN)
      .service(DeliveryService, deliveryService(streamed))
      .service(AccessService, accessService(deps))
      .service(InspectorService, inspectorService(streamed))
      .service(Integrations, integrationsService(streamed))
      .service(Health, healthService({ readiness, clock, services, stopping }), { readMaxBytes: mostBytesOf(Health) })
      .service(
        ServerReflection,
        reflectionService([...SERVED, Health, ServerReflection], [file_google_rpc_error_details]),
        { readMaxBytes: mostBytesOf(ServerReflection) },
      )
  );
}

function urlOf({ host, port }: ListenAddress, secure: boolean): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return `${secure ? "https" : "http"}://${name}:${port}`;
}
