/** grpc.health.v1: whether the server, or one of its services, is to be sent calls. */
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.js";
import { type Clock, sleep } from "../kernel/clock.ts";
import type { ReadReadiness } from "./readiness.ts";

/** How often a watched status is looked at. */
const WATCH_MS = 1_000;

export interface HealthDeps {
  readonly readiness: ReadReadiness;
  readonly clock: Clock;
  /** Full names of the services that are served. All have the server's status. */
  readonly services: readonly string[];
  /** Aborted when the server begins to stop: NOT_SERVING from then on. */
  readonly stopping: AbortSignal;
}

export function healthService(deps: HealthDeps): ServiceImpl<typeof Health> {
  const names = new Set(["", ...deps.services]);
  const current = async () => {
    if (deps.stopping.aborted) return Status.NOT_SERVING;
    return (await deps.readiness()).ready ? Status.SERVING : Status.NOT_SERVING;
  };
  return {
    async check({ service }) {
      if (!names.has(service)) throw new ConnectError(`service: "${service}" is not served here`, Code.NotFound);
      return { status: await current() };
    },

    async list() {
      const status = await current();
      return { statuses: Object.fromEntries([...names].map((name) => [name, { status }])) };
    },

    /** Ends with the server, so that a watcher does not hold up its stop. */
    async *watch({ service }, { signal }) {
      const ended = AbortSignal.any([signal, deps.stopping]);
      let last: Status | undefined;
      for (;;) {
        const status = names.has(service) ? await current() : Status.SERVICE_UNKNOWN;
        if (status !== last) yield { status };
        last = status;
        if (ended.aborted) return;
        await sleep(deps.clock, WATCH_MS, ended);
      }
    },
  };
}
