/**
 * Events' payloads, and the hashes of attempts' bodies (sealed-hashes.ts), under a key of the keyring in the store, opened
 * when they are read. Rows of before and after the setting was turned lie side by side: a sealed one says so itself
 * (`isSealed`). What tells two events of one id apart is hashed before they come here (intake/decode.ts).
 */
import type { Delivery } from "../domain/delivery.ts";
import type { StoredEvent } from "../domain/event.ts";
import { CodedError } from "../kernel/errors.ts";
import type { Log } from "../kernel/log.ts";
import { bytesSealedUnder, isSealed, type Keyring } from "../signing/keyring.ts";
import type { ChangeFeed, ChangeReader } from "./change-feed.ts";
import type { ClaimedDelivery, DeliveryLog, DeliveryStore, FlushBatch } from "./delivery-store.ts";
import type { ReplayJobs } from "./replay-store.ts";
import type { RetentionStore } from "./retention.ts";
import { openHashes, sealHashes } from "./sealed-hashes.ts";

/** What hands events to the store, or gets them from it. */
export interface EventStores {
  readonly deliveries: DeliveryStore & DeliveryLog;
  readonly changes: ChangeFeed;
  readonly replays: ReplayJobs;
}

export interface PayloadSealing {
  readonly keyring: Keyring;
  /** Whether new ones are sealed. Those that are, are opened either way. */
  readonly isOn: boolean;
  readonly log: Log;
}

/** The stores, which nobody can tell from those given but by what lies in them. */
export function withSealedPayloads<T extends EventStores>(stores: T, sealing: PayloadSealing): T {
  const { keyring, isOn, log } = sealing;
  const { deliveries, changes, replays } = stores;
  const open = (event: StoredEvent) => openEvent(keyring, event);
  const openDelivery = (delivery: Delivery) => openHashes(keyring, delivery);
  return {
    ...stores,
    deliveries: over<DeliveryStore & DeliveryLog, T["deliveries"]>(deliveries, {
      flush: (batch) => deliveries.flush(isOn ? sealBatch(keyring, batch) : batch),
      async claim(request) {
        const { claimed, ...rest } = await deliveries.claim(request);
        return { ...rest, claimed: claimed.flatMap((one) => openClaimed(keyring, one, log)) };
      },
      async fold(request) {
        const claimed = await deliveries.fold(request);
        return claimed.flatMap((one) => openClaimed(keyring, one, log));
      },
      async getEvent(key) {
        const event = await deliveries.getEvent(key);
        return event === undefined ? undefined : open(event);
      },
      async listEvents(tenant, filter, request) {
        const page = await deliveries.listEvents(tenant, filter, request);
        return { ...page, items: page.items.map(open) };
      },
      async getDelivery(tenant, id) {
        const delivery = await deliveries.getDelivery(tenant, id);
        return delivery === undefined ? undefined : openDelivery(delivery);
      },
      async listDeliveries(tenant, filter, request) {
        const page = await deliveries.listDeliveries(tenant, filter, request);
        return { ...page, items: page.items.map(openDelivery) };
      },
      async cancel(tenant, id, nowMs) {
        const answer = await deliveries.cancel(tenant, id, nowMs);
        return answer === undefined ? undefined : { ...answer, delivery: openDelivery(answer.delivery) };
      },
      async retry(tenant, id, nowMs) {
        const answer = await deliveries.retry(tenant, id, nowMs);
        return typeof answer === "object" ? openDelivery(answer) : answer;
      },
    }),
    changes: over<ChangeFeed, T["changes"]>(changes, {
      watchEvents: async (tenant) => openingReader(await changes.watchEvents(tenant), open),
      watchDeliveries: async (tenant) => openingReader(await changes.watchDeliveries(tenant), openDelivery),
    }),
    replays: over<ReplayJobs, T["replays"]>(replays, {
      async events(tenant, ids) {
        const events = await replays.events(tenant, ids);
        return new Map([...events].map(([id, event]) => [id, open(event)]));
      },
    }),
  };
}

export interface PayloadWalk {
  readonly retention: Pick<RetentionStore, "tenants">;
  readonly deliveries: Pick<DeliveryLog, "listEvents">;
}

const WALK_ROWS = 500;

/** How many payloads in the store are sealed, by their key. They are not sealed anew: they go with their age. */
export async function payloadKeyUse({ retention, deliveries }: PayloadWalk): Promise<ReadonlyMap<string, number>> {
  const uses = new Map<string, number>();
  for (const { tenant } of await retention.tenants()) {
    let page = await deliveries.listEvents(tenant, {}, { size: WALK_ROWS });
    for (;;) {
      for (const { value } of page.items) {
        const keyId = bytesSealedUnder(value);
        if (keyId !== undefined) uses.set(keyId, (uses.get(keyId) ?? 0) + 1);
      }
      if (page.next === undefined) break;
      page = await deliveries.listEvents(tenant, {}, { size: WALK_ROWS, after: page.next });
    }
  }
  return uses;
}

/** Its id and its tenant are part of what is sealed: one that is copied to another row does not open there. */
const sealedFor = ({ tenant, id }: StoredEvent): string => `event/${tenant.organisation}/${tenant.environment}/${id}`;

function sealBatch(keyring: Keyring, { events, deliveries }: FlushBatch): FlushBatch {
  return {
    events: events.map((event) => sealEvent(keyring, event)),
    deliveries: deliveries.map((write) => sealHashes(keyring, write)),
  };
}

function sealEvent(keyring: Keyring, event: StoredEvent): StoredEvent {
  return event.value.length === 0 ? event : { ...event, value: keyring.sealBytes(event.value, sealedFor(event)) };
}

/** @throws CodedError as `Keyring.open` does. */
function openEvent(keyring: Keyring, event: StoredEvent): StoredEvent {
  return isSealed(event.value) ? { ...event, value: keyring.openBytes(event.value, sealedFor(event)) } : event;
}

/** One whose key is missing comes again when its lease has ended; the others must not wait for it. */
function openClaimed(keyring: Keyring, claimed: ClaimedDelivery, log: Log): readonly ClaimedDelivery[] {
  try {
    return [{ ...claimed, event: openEvent(keyring, claimed.event) }];
  } catch (err) {
    if (!(err instanceof CodedError)) throw err;
    log.error("payload.not_opened", { delivery: claimed.delivery.id, err });
    return [];
  }
}

function openingReader<T>(reader: ChangeReader<T>, open: (item: T) => T): ChangeReader<T> {
  return {
    async read(limit) {
      const changes = await reader.read(limit);
      return { ...changes, items: changes.items.map(open) };
    },
    close: () => reader.close(),
  };
}

/** `target` with some of its methods in place of its own. It may be of a class with private fields, which a copy lacks. */
export function over<P extends object, T extends P>(target: T, methods: Partial<P>): T {
  const bound = new Map<PropertyKey, unknown>(Object.entries(methods));
  return new Proxy(target, {
    get(_, name) {
      const known = bound.get(name);
      if (known !== undefined) return known;
      const value: unknown = Reflect.get(target, name);
      const own = typeof value === "function" ? value.bind(target) : value;
      bound.set(name, own);
      return own;
    },
  });
}
