/** GetCaller of passbus.v1.AccessService: a caller's own view of who they are, and of what they are let into. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { methodsFor } from "../access/roles.ts";
import { sameTenant, wholeOf } from "../kernel/tenant.ts";
import { wireRole } from "./access-keys.ts";
import { principalOf } from "./gate.ts";

export interface CallerCallDeps {
  /** The bootstrap organisation: its administrators operate the service. */
  readonly operatedBy: string;
}

export function callerCall({ operatedBy }: CallerCallDeps): Pick<ServiceImpl<typeof AccessService>, "getCaller"> {
  return {
    getCaller(_request, context) {
      const { tenant, role, keyId, entityId = "", expiresAtMs } = principalOf(context);
      return {
        caller: {
          organisationId: tenant.organisation,
          environment: tenant.environment,
          ...(role !== "portal" && { role: wireRole(role) }),
          entityId,
          keyId,
          ...(expiresAtMs !== undefined && { expiresAt: timestampFromMs(expiresAtMs) }),
          methods: [...methodsFor(role, tenant.environment)],
          operatesService: role === "admin" && sameTenant(tenant, wholeOf(operatedBy)),
        },
      };
    },
  };
}
