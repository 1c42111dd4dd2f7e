/** The kill switch's calls of passbus.v1.AccessService: who may turn it, and what everybody may know of it. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AccessService,
  type DeliverySwitchSchema,
  DeliverySwitchScope as Scope,
} from "../../gen/passbus/v1/access_service_pb.js";
import type { Principal } from "../access/authenticate.ts";
import { type Stop, type SwitchStore, stopText } from "../delivery/kill-switch.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { sameTenant, wholeOf } from "../kernel/tenant.ts";
import { knownEnum } from "./fields.ts";
import { principalOf } from "./gate.ts";

export interface SwitchCallsDeps {
  readonly switches: SwitchStore;
  /** Whose administrators may stop the whole service: the bootstrap organisation. */
  readonly operatedBy: string;
  /** Tells the workers to look. */
  readonly wakeWorkers: () => void;
  readonly clock: Clock;
}

type Served = "setDeliverySwitch" | "getDeliverySwitch";

export function switchCalls(deps: SwitchCallsDeps): Pick<ServiceImpl<typeof AccessService>, Served> {
  const { switches, operatedBy, wakeWorkers, clock } = deps;
  return {
    async setDeliverySwitch({ scope, stopped, reason }, context) {
      const principal = principalOf(context);
      const organisation = turnedBy(principal, knownEnum(Scope, scope, "scope"), operatedBy);
      if (reason.length > LIMITS.descriptionCharacters) {
        throw invalidField("reason", `must be at most ${LIMITS.descriptionCharacters} characters`);
      }
      const named = organisation === undefined ? {} : { organisation };
      if (stopped) await switches.stop({ ...named, reason, sinceMs: clock.now(), by: principal.keyId });
      else await switches.start(organisation);
      wakeWorkers();
      const found = (await switches.stops()).find((stop) => stop.organisation === organisation);
      return { switch: switchMessage(scope, found, true) };
    },

    async getDeliverySwitch(_request, context) {
      const { tenant } = principalOf(context);
      const { organisation } = tenant;
      const stops = await switches.stops();
      const own = stops.find((stop) => stop.organisation === organisation);
      const service = stops.find((stop) => stop.organisation === undefined);
      return {
        switches: [
          switchMessage(Scope.ORGANISATION, own, true),
          switchMessage(Scope.SERVICE, service, sameTenant(tenant, wholeOf(operatedBy))),
        ],
      };
    },
  };
}

/** Undefined: the service. @throws CodedError `role.insufficient`, `request.invalid`. */
function turnedBy({ tenant, role }: Principal, scope: Scope, operatedBy: string): string | undefined {
  switch (scope) {
    case Scope.ORGANISATION:
      return tenant.organisation;
    case Scope.SERVICE:
      if (role === "admin" && tenant.organisation === operatedBy) return undefined;
      throw new CodedError(
        "role.insufficient",
        "scope: the whole service is stopped and started by an administrator of its own organisation alone",
      );
    default:
      throw invalidField("scope", "must be ORGANISATION or SERVICE");
  }
}

function switchMessage(
  scope: Scope,
  stop: Stop | undefined,
  isOwn: boolean,
): MessageInitShape<typeof DeliverySwitchSchema> {
  if (stop === undefined) return { scope, stopped: false };
  return {
    scope,
    stopped: true,
    stoppedAt: timestampFromMs(stop.sinceMs),
    ...(isOwn && { reason: stop.reason, stoppedBy: stop.by }),
  };
}

/** Nothing leaves while deliveries are stopped, no test and no challenge either. @throws CodedError `deliveries.stopped`. */
export async function refuseWhileStopped(switches: Pick<SwitchStore, "stops">, organisation: string): Promise<void> {
  const stops = await switches.stops();
  const stop = stops.find((each) => each.organisation === undefined || each.organisation === organisation);
  if (stop === undefined) return;
  // Why the service was stopped is for those who run it.
  throw new CodedError(
    "deliveries.stopped",
    stopText(stop.organisation === undefined ? { ...stop, reason: "" } : stop),
  );
}
