/** DeadLetterStore over the thread's calls. */
import { type DeadLetterStore, type DeadReason, type KeptDeadLetter, letterToKeep } from "../../intake/dead-letters.ts";
import type { CallClient } from "../../kernel/thread-call.ts";
import type { DeadLetterRow, StoreCalls } from "./calls.ts";
import { cursorRow } from "./client-deliveries.ts";
import { tenantOf, tenantRow } from "./rows.ts";

export function deadLetterStore(calls: CallClient<StoreCalls>): DeadLetterStore {
  return {
    async put(letters) {
      await calls.call(
        "putDeadLetters",
        letters.map((letter) => letterRow(letterToKeep(letter))),
      );
    },
    async list(tenant, filter, page) {
      const answer = await calls.call("listDeadLetters", {
        ...filter,
        ...cursorRow(page),
        tenant: tenantRow(tenant),
      });
      const items = answer.rows.map(letterOf);
      const last = items.at(-1);
      if (!answer.more || last === undefined) return { items };
      return { items, next: { timeMs: last.record.appendedAtMs, id: last.id } };
    },
    async find(tenant, ids) {
      const rows = await calls.call("findDeadLetters", { tenant: tenantRow(tenant), ids });
      return rows.map((row) => (row === null ? undefined : letterOf(row)));
    },
    async noteRedriven(tenant, ids, nowMs) {
      await calls.call("noteRedriven", { tenant: tenantRow(tenant), ids, nowMs });
    },
  };
}

function letterRow({ record, tenant, id, reason, message, truncated, redrivenAtMs }: KeptDeadLetter): DeadLetterRow {
  return [
    ...tenantRow(tenant),
    id,
    record.topic,
    record.partition,
    record.offset,
    reason,
    message,
    record.appendedAtMs,
    // Copied out of the batch that they were read with, or all of it would be cloned with each.
    record.key === null ? null : new Uint8Array(record.key),
    record.value === null ? null : new Uint8Array(record.value),
    JSON.stringify(record.headers),
    truncated ? 1 : 0,
    redrivenAtMs ?? null,
  ];
}

function letterOf(row: DeadLetterRow): KeptDeadLetter {
  const [organisation, environment, id, topic, partition, offset, reason, message, appendedAtMs, ...rest] = row;
  const [key, value, headers, truncated, redrivenAtMs] = rest;
  return {
    id,
    tenant: tenantOf([organisation, environment]),
    reason: reason as DeadReason,
    message,
    record: { topic, partition, offset, appendedAtMs, key, value, headers: JSON.parse(headers) },
    truncated: truncated === 1,
    ...(redrivenAtMs === null ? {} : { redrivenAtMs }),
  };
}
