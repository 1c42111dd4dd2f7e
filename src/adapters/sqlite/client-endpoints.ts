/** EndpointStore and RateStore over the thread's calls. */
import type { EndpointStore, RateStore } from "../../delivery/endpoint-store.ts";
import type { EndpointKey, EndpointRecord } from "../../domain/endpoint.ts";
import type { CallClient } from "../../kernel/thread-call.ts";
import type { StoreCalls, TenantId } from "./calls.ts";
import { tenantOf, tenantRow } from "./rows.ts";

const keyRow = ({ tenant, subscriptionId }: EndpointKey): TenantId => ({
  tenant: tenantRow(tenant),
  id: subscriptionId,
});

/** The key stands in the row's own columns. */
function documentOf({ tenant: _tenant, subscriptionId: _id, ...rest }: EndpointRecord): string {
  return JSON.stringify(rest);
}

function recordOf({ tenant, subscriptionId }: EndpointKey, document: string): EndpointRecord {
  return { tenant, subscriptionId, ...JSON.parse(document) };
}

export function endpointStore(calls: CallClient<StoreCalls>): EndpointStore & RateStore {
  return {
    async read(keys) {
      const found = await calls.call("readEndpoints", keys.map(keyRow));
      return keys.map((key, at) => {
        const document = found[at] ?? null;
        return document === null ? undefined : recordOf(key, document);
      });
    },
    async open(limit) {
      const rows = await calls.call("openEndpoints", limit);
      return rows.map(([organisation, environment, subscriptionId, document]) =>
        recordOf({ tenant: tenantOf([organisation, environment]), subscriptionId }, document),
      );
    },
    write(records) {
      const rows = records.map((record) => {
        const { version, breaker } = record;
        return { ...keyRow(record), version, breaker, document: documentOf(record) };
      });
      return calls.call("writeEndpoints", rows);
    },
    async remove(keys) {
      await calls.call("removeEndpoints", keys.map(keyRow));
    },
    reserve(requests) {
      const rows = requests.map((request) => {
        const { perSecond, burst, count, nowMs } = request;
        return { ...keyRow(request), perSecond, burst, count, nowMs };
      });
      return calls.call("reserveRates", rows);
    },
  };
}
