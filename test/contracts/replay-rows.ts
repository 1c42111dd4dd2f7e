/** What the replay suites write. */
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { Replay, ReplayItem } from "../../src/delivery/replay.ts";
import type { ReplayStep } from "../../src/delivery/replay-store.ts";
import { ACME, type StorePorts, T0 } from "./rows.ts";

export const NOW = T0 + 1_000;
export const LEASE = 10_000;

export function replay(id: string, over: Partial<Replay> = {}): Replay {
  return {
    id,
    tenant: ACME,
    filter: { eventTypes: [], toMs: NOW },
    ratePerSecond: 50,
    freshIds: false,
    state: "running",
    counted: 0,
    isWhollyCounted: true,
    sent: 0,
    skipped: 0,
    isAtEnd: false,
    deferred: [],
    fence: 0,
    createdAtMs: T0,
    ...over,
  };
}

export const item: ReplayItem = {
  eventId: "evt_1",
  kind: { type: PassEventType.CREATED },
  passId: "pass-1",
  subscriptionId: "sub_1",
};

export function step(of: Replay, over: Partial<ReplayStep> = {}): ReplayStep {
  const { tenant, id, fence, isAtEnd, deferred } = of;
  const nothing = { due: [], fresh: [], skipped: 0, alreadySent: 0, finished: false };
  return { tenant, id, fence, nowMs: NOW, leaseUntilMs: NOW + LEASE, isAtEnd, deferred, ...nothing, ...over };
}

export const atT0 = { nowMs: T0, leaseMs: LEASE, limit: 10 };

export async function taken(store: StorePorts, over: Partial<Replay> = {}): Promise<Replay> {
  const job = replay("rpl_1", over);
  await store.replays.insert(job, 10);
  const [mine] = await store.replays.take(atT0);
  if (mine === undefined) throw new Error("nothing was taken");
  return mine;
}
