import type { StoreCalls } from "./calls.ts";
import type { DeliveryTable } from "./deliveries.ts";
import type { EventTable } from "./events.ts";
import type { Tenants } from "./tenants.ts";

/**
 * One group commit: the events, then the deliveries. What was tried with an event that lost against other content
 * under its id is left out (protocol, rule 5).
 */
export function flushWith(tenants: Tenants, events: EventTable, deliveries: DeliveryTable): StoreCalls["flush"] {
  return (batch) => {
    const numbers = batch.tenants.map((tenant) => tenants.ensure(tenant));
    const numberAt = (place: number): number => numbers[place] ?? -1;
    const conflicts: number[] = [];
    const lost = new Set<string>();
    let offset = 0;
    batch.events.forEach(([tenant, row], place) => {
      const value = batch.values.subarray(offset, offset + row[6]);
      offset += row[6];
      if (events.insert(numberAt(tenant), row, value)) return;
      conflicts.push(place);
      lost.add(`${tenant} ${row[0]}`);
    });
    const applied = batch.deliveries.map((write) => {
      const tenant = numberAt(write[1]);
      if (write[0] === 1) return deliveries.outcome(tenant, write[2]);
      if (lost.size > 0 && lost.has(`${write[1]} ${write[2][1]}`)) return false;
      return deliveries.first(tenant, write[2]);
    });
    return { conflicts, applied };
  };
}
