/**
 * The API: Connect services on one port for gRPC, gRPC-Web and Connect. A call passes the gate (who calls, and may
 * they), the body's limits, the deadline, and then its service, which turns messages into the rooms' types and back.
 * Nothing is reached without a key but health, reflection and the probes.
 */
import { createConnectRouter } from "@connectrpc/connect";
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
import type { Authenticate } from "../access/authenticate.ts";
import type { DeliveryLog } from "../delivery/delivery-store.ts";
import type { Publisher } from "../intake/publish.ts";
import type { Clock } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Log } from "../kernel/log.ts";
import type { SubscriptionService as Subscriptions } from "../subscriptions/subscription-service.ts";
import { serveCalls } from "./calls.ts";
import { crossOrigin } from "./cors.ts";
import { deliveryService } from "./delivery-service.ts";
import { eventService } from "./event-service.ts";
import { requestGate } from "./gate.ts";
import { healthService } from "./health.ts";
import { codedErrors, deadlines } from "./interceptors.ts";
import { forgetJson } from "./json-body.ts";
import { type ListenAddress, openPort, type TlsFiles } from "./port.ts";
import { probes } from "./probes.ts";
import type { ReadReadiness } from "./readiness.ts";
import { reflectionService } from "./reflection.ts";
import { type SubscriptionCalls, subscriptionService } from "./subscription-service.ts";

/** What the API needs of the rooms. */
export interface ApiDeps {
  readonly listen: ListenAddress;
  readonly tls?: TlsFiles;
  /** Origins whose pages may call from a browser; `*` is any. */
  readonly corsOrigins: readonly string[];
  readonly authenticate: Authenticate;
  readonly subscriptions: Pick<Subscriptions, SubscriptionCalls>;
  readonly publisher: Publisher;
  readonly deliveryLog: DeliveryLog;
  readonly readiness: ReadReadiness;
  /** Tells the workers that something is due now. */
  readonly wakeWorkers: () => void;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Api {
  /** Where it listens, with the port that it got. */
  readonly address: ListenAddress;
  /** `http://…` or `https://…`, without a slash at the end. */
  readonly url: string;
  /** Not ready from now on; calls in flight end by themselves within `graceMs`, the rest is cut. */
  stop(graceMs: number): Promise<void>;
}

/** Served, and listed by reflection. */
const SERVED = [SubscriptionService, EventService, DeliveryService] as const;

/**
 * Smaller answers go out as they are. Packing the answer to a batch of 100 events (3 KB) took 7 % of the API's time;
 * lists of events and deliveries are worth it.
 */
const COMPRESSED_FROM_BYTES = 16 * 1_024;

export async function startApi(deps: ApiDeps): Promise<Api> {
  const { clock, log } = deps;
  const stopping = new AbortController();
  const readiness: ReadReadiness = () =>
    stopping.signal.aborted ? { ready: false, reasons: ["stopping"] } : deps.readiness();
  const router = apiRouter(deps, readiness, stopping.signal);
  const handleOrigin = crossOrigin(deps.corsOrigins);
  const serve = serveCalls({ router, clock, log, otherwise: probes(readiness) });
  const port = await openPort({
    listen: deps.listen,
    ...(deps.tls !== undefined && { tls: deps.tls }),
    clock,
    serve: (request, response) => {
      if (!handleOrigin(request, response)) serve(request, response);
    },
  });
  return {
    address: port.address,
    url: urlOf(port.address, deps.tls !== undefined),
    stop: (graceMs) => {
      stopping.abort();
      return port.stop(graceMs);
    },
  };
}

function apiRouter(deps: ApiDeps, readiness: ReadReadiness, stopping: AbortSignal) {
  const { clock, log } = deps;
  const services = SERVED.map((service) => service.typeName);
  return (
    createConnectRouter({
      acceptCompression: [compressionGzip, compressionBrotli],
      compressMinBytes: COMPRESSED_FROM_BYTES,
      readMaxBytes: LIMITS.requestBytes,
      maxTimeoutMs: LIMITS.requestDeadlineMs,
      // Unknown fields and unknown enum names are mistakes that the caller wants to hear of.
      jsonOptions: { ignoreUnknownFields: false, recursionLimit: LIMITS.messageDepth },
      binaryOptions: { recursionLimit: LIMITS.messageDepth },
      requestGate: requestGate(deps),
      interceptors: [forgetJson, codedErrors(log), deadlines(clock)],
    })
      .service(SubscriptionService, subscriptionService(deps))
      .service(EventService, eventService(deps))
      .service(DeliveryService, deliveryService(deps))
      .service(Health, healthService({ readiness, clock, services, stopping }))
      .service(
        ServerReflection,
        reflectionService([...SERVED, Health, ServerReflection], [file_google_rpc_error_details]),
      )
      // Defined, and answered with UNIMPLEMENTED.
      .service(AccessService, {})
      .service(InspectorService, {})
      .service(Integrations, {})
  );
}

function urlOf({ host, port }: ListenAddress, secure: boolean): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return `${secure ? "https" : "http"}://${name}:${port}`;
}
