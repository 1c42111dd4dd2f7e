/** SwitchStore and RetentionStore over the thread's calls. */
import type { SwitchStore } from "../../delivery/kill-switch.ts";
import type { RetentionStore } from "../../delivery/retention.ts";
import type { CallClient } from "../../kernel/thread-call.ts";
import type { StoreCalls } from "./calls.ts";
import { tenantOf, tenantRow } from "./rows.ts";

type Calls = CallClient<StoreCalls>;

export function switchStore(calls: Calls): SwitchStore {
  return {
    async stops() {
      const rows = await calls.call("stops", null);
      return rows.map(([organisation, reason, sinceMs, by]) => ({
        ...(organisation === "" ? {} : { organisation }),
        reason,
        sinceMs,
        by,
      }));
    },
    async stop({ organisation, reason, sinceMs, by }) {
      await calls.call("putStop", [organisation ?? "", reason, sinceMs, by]);
    },
    async start(organisation) {
      await calls.call("removeStop", organisation ?? "");
    },
  };
}

export function retentionStore(calls: Calls): RetentionStore {
  return {
    async tenants() {
      const rows = await calls.call("retainedTenants", null);
      return rows.map(([tenant, event, delivery, payload]) => ({
        tenant: tenantOf(tenant),
        ...(event === null ? {} : { eventRetentionMs: event }),
        ...(delivery === null ? {} : { deliveryRetentionMs: delivery }),
        ...(payload === null ? {} : { payloadRetentionMs: payload }),
      }));
    },
    async purge({ tenant, kind, beforeMs, after, limit, nowMs }) {
      const place = after === undefined ? {} : { after: [after.timeMs, after.id] as const };
      const request = { tenant: tenantRow(tenant), kind, beforeMs, limit, nowMs, ...place };
      const { purged, at, more } = await calls.call("purge", request);
      return { purged, more, ...(at === null ? {} : { at: { timeMs: at[0], id: at[1] } }) };
    },
    expireHeld: (tenant, ids, nowMs) => calls.call("expireHeld", { tenant: tenantRow(tenant), ids, nowMs }),
    async takeTurn(request) {
      return (await calls.call("takeTurn", request)) ?? undefined;
    },
    async keepState(holder, state) {
      await calls.call("keepState", { holder, state });
    },
  };
}
