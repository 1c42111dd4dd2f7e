/** BinStore over the thread's calls. */
import type { Bin, BinStore, KeptRequest } from "../../inspector/bin-store.ts";
import type { CallClient } from "../../kernel/thread-call.ts";
import type { BinRow, KeptRequestRow } from "./bin-calls.ts";
import type { StoreCalls } from "./calls.ts";
import { cursorRow, pageFrom } from "./client-deliveries.ts";
import { tenantOf, tenantRow } from "./rows.ts";

export function binStore(calls: CallClient<StoreCalls>): BinStore {
  return {
    insertBin: (bin, limit, nowMs) => calls.call("insertBin", { row: binRow(bin), limit, nowMs }),
    async findBin(id) {
      const row = await calls.call("findBin", id);
      return row === null ? undefined : binOf(row);
    },
    async listBins(tenant, nowMs, page) {
      const asked = { tenant: tenantRow(tenant), nowMs, ...cursorRow(page) };
      const { rows, more } = await calls.call("listBins", asked);
      return pageFrom(rows.map(binOf), more, ({ createdAtMs }) => createdAtMs);
    },
    removeBin: (tenant, id) => calls.call("removeBin", { tenant: tenantRow(tenant), id }),
    async putRequest({ tenant, id, expiresAtMs }, request, keep) {
      const row = [request.id, request.receivedAtMs, request.sealed] as const;
      await calls.call("putRequest", { bin: { tenant: tenantRow(tenant), id, expiresAtMs }, row, keep });
    },
    async listRequests(tenant, id, page) {
      const { rows, more } = await calls.call("listRequests", { tenant: tenantRow(tenant), id, ...cursorRow(page) });
      return pageFrom(rows.map(requestOf), more, ({ receivedAtMs }) => receivedAtMs);
    },
    arrivals: (tenant, id, fromMs) => calls.call("arrivals", { tenant: tenantRow(tenant), id, fromMs }),
    async readRequests(tenant, id, ids) {
      return (await calls.call("readRequests", { tenant: tenantRow(tenant), id, ids })).map(requestOf);
    },
  };
}

function binRow({ tenant, id, createdAtMs, expiresAtMs, statusCode, description }: Bin): BinRow {
  return [...tenantRow(tenant), id, createdAtMs, expiresAtMs, statusCode, description];
}

function binOf([organisation, environment, id, createdAtMs, expiresAtMs, statusCode, description]: BinRow): Bin {
  return { tenant: tenantOf([organisation, environment]), id, createdAtMs, expiresAtMs, statusCode, description };
}

function requestOf([id, receivedAtMs, sealed]: KeptRequestRow): KeptRequest {
  return { id, receivedAtMs, sealed };
}
