/** Dead letters, one a record of the log (protocol, rule 11). */
import {
  type DeadLetter,
  type DeadLetterStore,
  type DeadReason,
  type KeptDeadLetter,
  letterToKeep,
} from "../../intake/dead-letters.ts";
import type { Clock } from "../../kernel/clock.ts";
import { tenantKey } from "../../kernel/tenant.ts";
import { COLLECTIONS, tenantOf } from "./documents.ts";
import { page } from "./pages.ts";
import type { Stored, Wire } from "./wire.ts";

interface DeadLetterDocument extends Stored {
  readonly tenant: string;
  readonly reason: string;
  readonly message: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly appendedAt: number;
  /** When it came: its retention runs from here, or from when it was appended. */
  readonly keptFrom?: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  /** JSON, since a header's name may hold dots and dollars. */
  readonly headers: string;
  readonly rawHeaders?: readonly { readonly name: string; readonly value: Uint8Array }[];
  readonly truncated: boolean;
  readonly redrivenAt?: number;
}

export function deadLetterStore(wire: Wire, clock: Clock): DeadLetterStore {
  const kept = (letter: DeadLetter) => documentOf(letter, clock.now());
  return {
    /** A letter that is there already stays as it is, with what is noted of it. */
    async put(letters) {
      if (letters.length > 0) await wire.insert(COLLECTIONS.deadLetters, letters.map(kept), documentBytes);
    },
    list: (tenant, { reason }, request) =>
      page<DeadLetterDocument, KeptDeadLetter>(wire, COLLECTIONS.deadLetters, {
        filter: { tenant: tenantKey(tenant), ...(reason === undefined ? {} : { reason }) },
        keyOf: (id) => id,
        timeField: "appendedAt",
        request,
        read: letterOf,
        bytesOf: documentBytes,
        timeOf: ({ record }) => record.appendedAtMs,
      }),
    async find(tenant, ids) {
      if (ids.length === 0) return [];
      const found = await wire.find<DeadLetterDocument>(COLLECTIONS.deadLetters, {
        _id: { $in: ids },
        tenant: tenantKey(tenant),
      });
      const letters = new Map(found.map((document) => [document._id, letterOf(document)]));
      return ids.map((id) => letters.get(id));
    },
    async noteRedriven(tenant, ids, nowMs) {
      if (ids.length === 0) return;
      const q = { _id: { $in: ids }, tenant: tenantKey(tenant) };
      await wire.update(COLLECTIONS.deadLetters, [{ q, u: { $set: { redrivenAt: nowMs } }, multi: true }]);
    },
  };
}

function documentOf(letter: DeadLetter, keptFrom: number): DeadLetterDocument {
  const { id, tenant, reason, message, truncated, record } = letterToKeep(letter);
  return {
    _id: id,
    tenant: tenantKey(tenant),
    reason,
    message,
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    appendedAt: record.appendedAtMs,
    keptFrom,
    key: record.key,
    value: record.value,
    headers: JSON.stringify(record.headers),
    ...(record.rawHeaders && { rawHeaders: record.rawHeaders.map(([name, value]) => ({ name, value })) }),
    truncated,
  };
}

/** Out of the answer that the driver read them from, which would live as long as they do. */
const copied = (bytes: Uint8Array | null): Uint8Array | null => (bytes === null ? null : new Uint8Array(bytes));

function letterOf(document: DeadLetterDocument): KeptDeadLetter {
  const { rawHeaders, redrivenAt } = document;
  return {
    id: document._id,
    tenant: tenantOf(document.tenant),
    reason: document.reason as DeadReason,
    message: document.message,
    truncated: document.truncated,
    ...(redrivenAt === undefined ? {} : { redrivenAtMs: redrivenAt }),
    record: {
      topic: document.topic,
      partition: document.partition,
      offset: document.offset,
      appendedAtMs: document.appendedAt,
      key: copied(document.key),
      value: copied(document.value),
      headers: JSON.parse(document.headers),
      ...(rawHeaders && {
        rawHeaders: rawHeaders.map(({ name, value }) => [name, new Uint8Array(value)] as const),
      }),
    },
  };
}

function documentBytes({ key, value, headers, message }: DeadLetterDocument): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + headers.length + message.length;
}
