/** passbus.v1.AccessService, as far as it is there: what an organisation may have. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { CodedError } from "../kernel/errors.ts";
import type { LimitStore } from "../subscriptions/limit-store.ts";
import { limitsMessage, readLimits } from "../subscriptions/limits.ts";
import { principalOf } from "./gate.ts";

export interface AccessServiceDeps {
  readonly limits: LimitStore;
}

type Served = "setLimits" | "getLimits";

export function accessService({ limits }: AccessServiceDeps): Pick<ServiceImpl<typeof AccessService>, Served> {
  return {
    async setLimits(request, context) {
      const { organisation } = principalOf(context).tenant;
      const asked = request.organisationId;
      if (asked !== "" && asked !== organisation) {
        throw new CodedError(
          "role.insufficient",
          "organisation_id: a key sets the limits of its own organisation alone",
        );
      }
      const given = readLimits(request.limits);
      await limits.setLimits(organisation, given);
      return { limits: limitsMessage(given) };
    },

    async getLimits(_request, context) {
      return { limits: limitsMessage(await limits.limits(principalOf(context).tenant.organisation)) };
    },
  };
}
