/**
 * How one write meets the row that is there: the rules of `DeliveryWrite` (protocol, rules 3 and 4) as one pure
 * function. The quick way (deliveries.ts) has the server decide them by a query; whatever that leaves open is decided
 * here, and written only where the row is still the one that was read.
 */
import type { DeliveryWrite, NextState } from "../../delivery/delivery-store.ts";
import type { Delivery } from "../../domain/delivery.ts";
import { kindNumber } from "../../domain/event.ts";
import { LIMITS } from "../../kernel/limits.ts";
import { tenantKey } from "../../kernel/tenant.ts";
import {
  ATTEMPTING,
  type AttemptDocument,
  attemptDocument,
  DELIVERED,
  type DeliveryDocument,
  FIRST_TERMINAL,
  idIn,
  STATUSES,
  WORK_CLASSES,
} from "./documents.ts";

/** A write, translated once for every way that it may take. */
export type PreparedWrite =
  | {
      readonly kind: "first";
      readonly _id: string;
      /** What is inserted where no row is. */
      readonly document: DeliveryDocument;
      readonly attempts: readonly AttemptDocument[];
      readonly token: string;
    }
  | {
      readonly kind: "outcome";
      readonly _id: string;
      readonly fence: number;
      readonly run: number;
      readonly attempts: readonly AttemptDocument[];
      readonly next: NextFields;
      readonly token: string;
    };

/** The fields of a state. An absent class stays. */
export interface NextFields {
  readonly status: number;
  readonly class?: number;
  readonly workAt?: number;
  readonly finishedAt?: Date;
  readonly foldedInto?: string;
}

export function nextFields(next: NextState): NextFields {
  const status = STATUSES.indexOf(next.status);
  switch (next.status) {
    case "waiting":
      return { status, class: WORK_CLASSES.indexOf(next.workClass), workAt: next.dueAtMs };
    case "held":
      return { status };
    case "delivered":
    case "failed":
      return { status, finishedAt: new Date(next.finishedAtMs) };
    case "cancelled": {
      const folded = next.foldedInto === undefined ? {} : { foldedInto: next.foldedInto };
      return { status, finishedAt: new Date(next.finishedAtMs), ...folded };
    }
  }
}

/** `tokenOf` names a write that has no attempt; one that has is named by its last attempt. */
export function prepare(write: DeliveryWrite, tokenOf: (write: DeliveryWrite) => string): PreparedWrite {
  if (write.kind === "outcome") {
    const attempts = write.attempt === undefined ? [] : [attemptDocument(write.attempt)];
    const token = write.attempt?.id ?? tokenOf(write);
    const { fence, run } = write;
    return {
      kind: "outcome",
      _id: idIn(write.tenant, write.id),
      fence,
      run,
      attempts,
      next: nextFields(write.next),
      token,
    };
  }
  const attempts = write.delivery.attempts.map(attemptDocument);
  const token = attempts.at(-1)?.id ?? tokenOf(write);
  const document = firstDocument(write.delivery, attempts, token);
  return { kind: "first", _id: document._id, document, attempts, token };
}

function firstDocument(delivery: Delivery, attempts: readonly AttemptDocument[], token: string): DeliveryDocument {
  const tenant = tenantKey(delivery.tenant);
  const workAt = delivery.dueAtMs ?? delivery.leaseUntilMs;
  return {
    _id: `${tenant}/${delivery.id}`,
    tenant,
    lane: `${tenant}/${delivery.subscriptionId}`,
    event: delivery.eventId,
    type: kindNumber({ ...delivery, type: delivery.eventType }),
    pass: delivery.passId,
    status: STATUSES.indexOf(delivery.status),
    class: WORK_CLASSES.indexOf(delivery.workClass),
    run: delivery.run,
    fence: delivery.fence,
    runAttempts: delivery.runAttempts,
    attemptCount: delivery.attemptCount,
    attempts: bounded(attempts),
    ...(workAt === undefined ? {} : { workAt }),
    ...(delivery.sequence === undefined ? {} : { sequence: delivery.sequence }),
    ...(delivery.protocolEvent === undefined ? {} : { protocolEvent: true }),
    ...(delivery.replayId === undefined ? {} : { replay: delivery.replayId }),
    ...(delivery.foldedInto === undefined ? {} : { foldedInto: delivery.foldedInto }),
    createdAt: delivery.createdAtMs,
    ...(delivery.finishedAtMs === undefined ? {} : { finishedAt: new Date(delivery.finishedAtMs) }),
    token,
  };
}

/** The first attempt and the last ones. */
function bounded(attempts: readonly AttemptDocument[]): readonly AttemptDocument[] {
  const [first] = attempts;
  if (first === undefined || attempts.length <= LIMITS.attemptsKept) return attempts;
  return [first, ...attempts.slice(attempts.length - LIMITS.attemptsKept + 1)];
}

export interface Merged {
  /** The very same object where nothing changes; undefined where there is no row and none is made. */
  readonly row: DeliveryDocument | undefined;
  readonly applied: boolean;
}

/** What the row is after the write, and whether the write's state was taken. */
export function merge(row: DeliveryDocument | undefined, write: PreparedWrite): Merged {
  if (row === undefined) {
    return write.kind === "first" ? { row: write.document, applied: true } : { row, applied: false };
  }
  // Its own earlier effect: the answer of a flush was lost, and the flush came again.
  if (row.token === write.token) return { row, applied: true };
  const next = write.kind === "first" ? deliveredOver(row, write.document) : outcomeOf(row, write);
  const fresh = write.attempts.filter(({ id }) => !row.attempts.some((known) => known.id === id));
  if (next === undefined) return { row: withAttempts(row, fresh), applied: false };
  const appended = withAttempts(row, fresh);
  const { workAt: _work, finishedAt: _finished, ...kept } = appended;
  return {
    row: { ...kept, ...next, runAttempts: row.runAttempts + fresh.length, token: write.token },
    applied: true,
  };
}

/** A first outcome changes the state of a row only by a delivery, in run 1, before any terminal state; it raises the fence. */
function deliveredOver(row: DeliveryDocument, first: DeliveryDocument): Partial<DeliveryDocument> | undefined {
  if (first.status !== DELIVERED || row.run !== 1 || row.status >= FIRST_TERMINAL) return undefined;
  const { finishedAt } = first;
  return { status: DELIVERED, class: first.class, fence: row.fence + 1, ...(finishedAt && { finishedAt }) };
}

function outcomeOf(
  row: DeliveryDocument,
  write: PreparedWrite & { readonly kind: "outcome" },
): Partial<DeliveryDocument> | undefined {
  const isHolder = row.status === ATTEMPTING && row.fence === write.fence && row.run === write.run;
  return isHolder ? write.next : undefined;
}

/** Its history with these in it, the first and the last ones. */
export function withAttempts(row: DeliveryDocument, fresh: readonly AttemptDocument[]): DeliveryDocument {
  if (fresh.length === 0) return row;
  const attempts = bounded([...row.attempts, ...fresh]);
  return { ...row, attempts, attemptCount: row.attemptCount + fresh.length };
}
