/** passbus.v1.AccessService: keys, portal sessions, the audit log, the kill switch, what an organisation may have. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import type { Rates } from "../access/rates.ts";
import type { ServiceRetention } from "../domain/retention.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import { isTenantName } from "../kernel/tenant.ts";
import type { LimitStore } from "../subscriptions/limit-store.ts";
import { changedLimits, limitsMessage, readLimits, refuseRates, writtenFields } from "../subscriptions/limits.ts";
import { type KeyCallsDeps, keyCalls } from "./access-keys.ts";
import { type CallerCallDeps, callerCall } from "./caller-call.ts";
import { deleteOrganisationCall, type ErasureCallsDeps } from "./erasure-calls.ts";
import { principalOf } from "./gate.ts";
import { type SwitchCallsDeps, switchCalls } from "./switch-calls.ts";

export interface AccessServiceDeps extends SwitchCallsDeps, KeyCallsDeps, CallerCallDeps, ErasureCallsDeps {
  readonly limits: LimitStore;
  /** How long things are kept of an organisation that was given nothing else. */
  readonly retention: ServiceRetention;
  /** How much one may do that was given nothing else. */
  readonly rates: Pick<Rates, "service">;
}

export function accessService(deps: AccessServiceDeps): ServiceImpl<typeof AccessService> {
  const { limits, retention, operatedBy } = deps;
  const rates = deps.rates.service;
  return {
    ...switchCalls(deps),
    ...callerCall(deps),
    ...keyCalls(deps),
    ...deleteOrganisationCall(deps),

    async setLimits(request, context) {
      const { tenant, role } = principalOf(context);
      // The gate lets keys of production alone come here.
      const operates = role === "admin" && tenant.organisation === operatedBy;
      const organisation = request.organisationId === "" ? tenant.organisation : request.organisationId;
      if (organisation !== tenant.organisation && !operates) {
        throw new CodedError(
          "role.insufficient",
          "organisation_id: a key sets the limits of its own organisation alone",
        );
      }
      if (!isTenantName(organisation)) throw invalidField("organisation_id", "must be an organisation's name");
      const paths = request.updateMask?.paths ?? [];
      const before = await limits.limits(organisation);
      const read = readLimits(request.limits);
      if (!operates) refuseRates(before, read, paths, rates);
      const asked = changedLimits(before, read, paths);
      await limits.setLimits(organisation, asked, writtenFields(paths, operates));
      // Others may have written other fields meanwhile.
      return { limits: limitsMessage(await limits.limits(organisation), retention, rates) };
    },

    async getLimits(_request, context) {
      const given = await limits.limits(principalOf(context).tenant.organisation);
      return { limits: limitsMessage(given, retention, rates) };
    },
  };
}
