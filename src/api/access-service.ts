/** passbus.v1.AccessService: keys, portal sessions, the audit log, the kill switch, what an organisation may have. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import type { ServiceRetention } from "../domain/retention.ts";
import { CodedError } from "../kernel/errors.ts";
import type { LimitStore } from "../subscriptions/limit-store.ts";
import { changedLimits, limitsMessage, readLimits } from "../subscriptions/limits.ts";
import { type KeyCallsDeps, keyCalls } from "./access-keys.ts";
import { principalOf } from "./gate.ts";
import { type SwitchCallsDeps, switchCalls } from "./switch-calls.ts";

export interface AccessServiceDeps extends SwitchCallsDeps, KeyCallsDeps {
  readonly limits: LimitStore;
  /** How long things are kept of an organisation that was given nothing else. */
  readonly retention: ServiceRetention;
}

export function accessService(deps: AccessServiceDeps): ServiceImpl<typeof AccessService> {
  const { limits, retention } = deps;
  return {
    ...switchCalls(deps),
    ...keyCalls(deps),

    async setLimits(request, context) {
      const { organisation } = principalOf(context).tenant;
      const asked = request.organisationId;
      if (asked !== "" && asked !== organisation) {
        throw new CodedError(
          "role.insufficient",
          "organisation_id: a key sets the limits of its own organisation alone",
        );
      }
      const paths = request.updateMask?.paths ?? [];
      const before = paths.length === 0 ? {} : await limits.limits(organisation);
      const given = changedLimits(before, readLimits(request.limits), paths);
      await limits.setLimits(organisation, given);
      return { limits: limitsMessage(given, retention) };
    },

    async getLimits(_request, context) {
      const given = await limits.limits(principalOf(context).tenant.organisation);
      return { limits: limitsMessage(given, retention) };
    },
  };
}
