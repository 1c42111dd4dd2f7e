/** ReplayStore and ReplayJobs over the thread's calls. */
import type { Replay } from "../../delivery/replay.ts";
import type { ReplayCandidate, ReplayJobs, ReplayStore } from "../../delivery/replay-store.ts";
import { kindOf } from "../../domain/event.ts";
import type { CallClient } from "../../kernel/thread-call.ts";
import { STATUSES, type StoreCalls } from "./calls.ts";
import { cursorRow, eventsOf } from "./client-deliveries.ts";
import type { CandidateRow } from "./replay-calls.ts";
import { deliveryRow, tenantRow } from "./rows.ts";

const replayOf = (text: string): Replay => JSON.parse(text);
const replayOrNone = (text: string | null): Replay | undefined => (text === null ? undefined : replayOf(text));

export function replayStore(calls: CallClient<StoreCalls>): ReplayStore & ReplayJobs {
  return {
    insert(replay, openLimit) {
      return calls.call("insertReplay", {
        tenant: tenantRow(replay.tenant),
        replay: JSON.stringify(replay),
        openLimit,
      });
    },
    countOpen(tenant) {
      return calls.call("countOpenReplays", tenantRow(tenant));
    },
    async get(tenant, id) {
      return replayOrNone(await calls.call("getReplay", { tenant: tenantRow(tenant), id }));
    },
    async list(tenant, page) {
      const { rows, more } = await calls.call("listReplays", { tenant: tenantRow(tenant), ...cursorRow(page) });
      const items = rows.map(replayOf);
      const last = items.at(-1);
      if (!more || last === undefined) return { items };
      return { items, next: { timeMs: last.createdAtMs, id: last.id } };
    },
    async change(tenant, id, change, nowMs) {
      return replayOrNone(await calls.call("changeReplay", { tenant: tenantRow(tenant), id, change, nowMs }));
    },
    async progress(tenant, id) {
      const [pending, delivered, failed] = await calls.call("replayProgress", { tenant: tenantRow(tenant), id });
      return { pending, delivered, failed };
    },
    async candidates(tenant, source, after, limit) {
      const place = after === undefined ? {} : { after };
      const found = await calls.call("replayCandidates", { tenant: tenantRow(tenant), source, limit, ...place });
      const items = found.rows.map(candidateOf);
      return found.next === undefined ? { items } : { items, next: found.next };
    },
    async take(request) {
      return (await calls.call("takeReplays", request)).map(replayOf);
    },
    unattempted(tenant, id, limit) {
      return calls.call("unattempted", { tenant: tenantRow(tenant), id, limit });
    },
    busyPasses(tenant, pairs) {
      return calls.call("busyPasses", { tenant: tenantRow(tenant), pairs });
    },
    async events(tenant, ids) {
      const { rows, values } = await calls.call("eventsById", { tenant: tenantRow(tenant), ids });
      const events = eventsOf(
        rows.map((row) => [tenant, row] as const),
        values,
      );
      return new Map(events.map((event) => [event.id, event]));
    },
    async step({ tenant, fresh, ...step }) {
      const rows = fresh.map(deliveryRow);
      return replayOrNone(await calls.call("stepReplay", { ...step, tenant: tenantRow(tenant), fresh: rows }));
    },
  };
}

function candidateOf([timeMs, sequence, id, eventId, kind, passId, delivery]: CandidateRow): ReplayCandidate {
  const found = { place: { timeMs, sequence, id }, eventId, kind: kindOf(kind), passId };
  if (delivery === null) return found;
  const [subscriptionId, status, replayId] = delivery;
  const replayed = replayId === null ? {} : { replayId };
  return { ...found, delivery: { id, subscriptionId, status: STATUSES[status] ?? "failed", ...replayed } };
}
