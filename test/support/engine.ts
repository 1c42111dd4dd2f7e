import { Engine } from "../../src/delivery/engine.ts";
import type { Arrival } from "../../src/delivery/in-hand.ts";
import type { Stopped } from "../../src/delivery/kill-switch.ts";
import { SOLE_HOLDER } from "../../src/delivery/lease.ts";
import type { Exchange, OutboundRequest } from "../../src/delivery/sender.ts";
import type { EndpointSwitch } from "../../src/delivery/turn.ts";
import { deliveryId } from "../../src/domain/delivery.ts";
import type { DecodedEvent } from "../../src/domain/event.ts";
import { formatOf } from "../../src/formats/registry.ts";
import { idSource } from "../../src/kernel/ids.ts";
import { silentLog } from "../../src/kernel/log.ts";
import { ManualClock } from "../../src/kernel/manual-clock.ts";
import { seededRandom } from "../../src/kernel/random.ts";
import { SubscriptionIndex } from "../../src/matching/subscription-index.ts";
import { MemoryStore } from "./memory-store.ts";
import { settled } from "./settled.ts";

export const ASSIGNMENT = { topic: "pass.events", partition: 0, generation: 1 };

/** A response of this status. */
export function answer(status: number): Exchange {
  return { kind: "response", status, headers: {}, excerpt: new Uint8Array(), durationMs: 1 };
}

/** A receiver whose answers the test decides; undefined leaves the request open. */
class ScriptedSender {
  readonly requests: OutboundRequest[] = [];
  readonly open: ((exchange: Exchange) => void)[] = [];
  reply: (request: OutboundRequest) => Exchange | undefined = () => answer(200);

  send(request: OutboundRequest): Promise<Exchange> {
    this.requests.push(request);
    const exchange = this.reply(request);
    return exchange === undefined ? new Promise((resolve) => this.open.push(resolve)) : Promise.resolve(exchange);
  }

  async close(): Promise<void> {
    const cut: Exchange = { kind: "failure", reason: "attempt.cancelled", message: "stopped", durationMs: 1 };
    for (const resolve of this.open.splice(0)) resolve(cut);
  }

  sentTo(id: string): number {
    return this.requests.filter((request) => request.url.endsWith(`/${id}`)).length;
  }
}

/**
 * An engine on a store in memory, a clock that stands still, and a receiver that the test plays. `shared`: another
 * engine's clock and store, as a second worker or a restart has them.
 */
export function engineSetup(
  shared: { readonly clock: ManualClock; readonly store: MemoryStore } | undefined = undefined,
) {
  const { clock, store } = shared ?? { clock: new ManualClock(), store: new MemoryStore() };
  const sender = new ScriptedSender();
  /** Partitions that are another's by now. */
  const lost = new Set<number>();
  const [load, holder] = [{ value: 0 }, { ...SOLE_HOLDER }];
  /** Organisations that somebody stopped, "" for all; `engine.wake()` after it is started again. */
  const stops = new Set<string>();
  const stopped: Stopped = {
    isStopped: (organisation) => stops.has("") || stops.has(organisation),
    get all() {
      return stops.has("");
    },
    get organisations() {
      return [...stops];
    },
  };
  const disabled: string[] = [];
  /** What a test puts in place of `disable` is called from then on. */
  const endpointSwitch: EndpointSwitch = { disable: async (_tenant, id) => void disabled.push(id) };
  const random = seededRandom(7);
  const engine: Engine = new Engine({
    store,
    endpoints: store.endpoints,
    disableAfterMs: 5 * 24 * 3_600_000,
    sender,
    clock,
    random,
    ids: idSource(clock, random),
    log: silentLog,
    userAgent: "passbus/test",
    load: { sample: () => load.value },
    index: new SubscriptionIndex({
      feed: store,
      typesOf: (format) => formatOf(format).types,
      filterFailed: (...failed) => engine.operational.filterFailed(...failed),
    }),
    signer: { tlsOf: () => undefined, sign: (_subscription, _format, id) => ({ "webhook-id": id }) },
    endpointSwitch,
    isFresh: ({ partition }) => !lost.has(partition),
    ...{ stopped, holder },
  });
  const done: string[] = [];
  const conflicts: string[] = [];
  let offset = 0;
  const arrival = (event: DecodedEvent, assignment = ASSIGNMENT): Arrival => ({
    ...event,
    assignment,
    offset: offset++,
    done: () => done.push(event.stored.id),
    conflict: () => conflicts.push(event.stored.id),
  });
  const take = async (...events: DecodedEvent[]) => {
    engine.take(events.map((event) => arrival(event)));
    await settled();
  };
  /** Time passes in steps, so that whatever a timer starts gets its turn. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(Math.min(50, left));
      await settled(6);
    }
  };
  const idOf = (event: DecodedEvent, id: string) => deliveryId(event.stored, id);
  const row = (event: DecodedEvent, id: string) => store.deliveries.get(idOf(event, id));
  const seen = { done, conflicts, disabled, holder };
  return { clock, store, sender, lost, load, stops, endpointSwitch, engine, ...seen, arrival, take, pass, idOf, row };
}
