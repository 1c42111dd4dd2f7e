/** ChainStore over the thread's calls. */
import type { ChainRow, ChainStore } from "../../delivery/chains-store.ts";
import { kindOf } from "../../domain/event.ts";
import type { CallClient } from "../../kernel/thread-call.ts";
import { STATUSES, type StoreCalls } from "./calls.ts";
import type { OpenInChainRow } from "./chain-calls.ts";
import { claimOf } from "./client-deliveries.ts";
import { TenantPlaces, tenantRow } from "./rows.ts";

export function chainStore(calls: CallClient<StoreCalls>): ChainStore {
  return {
    async openInChains(chains, limit) {
      if (chains.length === 0) return [];
      const tenants = new TenantPlaces();
      const rows = chains.map(
        ({ tenant, subscriptionId, passId, fromSequence }) =>
          [tenants.place(tenant), subscriptionId, passId, fromSequence ?? 0] as const,
      );
      const open = await calls.call("openInChains", { tenants: tenants.rows, chains: rows, limit });
      return open.map((chain) => chain.map(chainRowOf));
    },
    promote(chains, nowMs) {
      const tenants = new TenantPlaces();
      const rows = chains.map(
        ({ tenant, subscriptionId, passId }) => [tenants.place(tenant), subscriptionId, passId] as const,
      );
      return calls.call("promote", { tenants: tenants.rows, chains: rows, nowMs });
    },
    async promoteNext({ tenant, ...request }) {
      const [promoted, lastPassId] = await calls.call("promoteNext", { ...request, tenant: tenantRow(tenant) });
      return lastPassId === null ? { promoted } : { promoted, lastPassId };
    },
    async fold({ folds, nowMs, leaseMs }) {
      const tenants = new TenantPlaces();
      const rows = folds.map(
        ({ tenant, folded, into, claim }) =>
          [
            tenants.place(tenant),
            folded.map(({ id, fence }) => [id, fence] as const),
            [into.id, into.fence] as const,
            claim,
          ] as const,
      );
      return claimOf(await calls.call("fold", { tenants: tenants.rows, folds: rows, nowMs, leaseMs })).claimed;
    },
  };
}

function chainRowOf([id, eventType, status, sequence, fence, protocolEvent]: OpenInChainRow): ChainRow {
  const name = STATUSES[status];
  const open = name === "waiting" || name === "attempting" ? name : "held";
  const row = { id, eventType: kindOf(eventType).type, status: open, sequence, fence } as const;
  return protocolEvent ? { ...row, protocolEvent } : row;
}
