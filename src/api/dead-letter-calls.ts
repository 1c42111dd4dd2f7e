/** The calls of passbus.v1.EventService on dead letters: see them, and send them again. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type DeadLetterSchema,
  type EventService,
  RedriveFailureSchema,
} from "../../gen/passbus/v1/event_service_pb.js";
import { DEAD_REASONS, type DeadLetterStore, type DeadReason, type KeptDeadLetter } from "../intake/dead-letters.ts";
import type { Redriver } from "../intake/redrive.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import type { Log } from "../kernel/log.ts";
import { type Cursor, type Page, pageRequest, tokenFromCursor } from "../kernel/page.ts";
import { connectError } from "./errors.ts";
import { principalOf } from "./gate.ts";

export interface DeadLetterCallsDeps {
  readonly deadLetters: Pick<DeadLetterStore, "list">;
  readonly redriver: Redriver;
  readonly log: Log;
}

type Served = "listDeadLetters" | "redriveDeadLetters";

/**
 * Of the dead letters of one answer. gRPC clients take 4 MiB a message unless they are told otherwise, and one letter
 * more may stand behind the last that fits: its value has 1 MiB at most.
 */
const ANSWER_BYTES = 2 * 1_024 * 1_024;

export function deadLetterCalls(deps: DeadLetterCallsDeps): Pick<ServiceImpl<typeof EventService>, Served> {
  return {
    async listDeadLetters(request, context) {
      const { tenant } = principalOf(context);
      const reason = knownReason(request.reason);
      const page = await deps.deadLetters.list(
        tenant,
        reason === undefined ? {} : { reason },
        pageRequest(request.pageSize, request.pageToken),
      );
      const { letters, next } = answerOf(page, request.omitValues);
      return { deadLetters: letters, nextPageToken: tokenFromCursor(next) };
    },

    async redriveDeadLetters({ ids }, context) {
      const { tenant } = principalOf(context);
      const { kind, outcomes, reason } = await deps.redriver.redrive(tenant, ids);
      if (kind === "redriven") return { redriven: outcomes.length };
      deps.log.warn("api.redrive_partial", { letters: outcomes.length, reason });
      const failure = { desc: RedriveFailureSchema, value: { outcomes: [...outcomes] } };
      throw connectError(new CodedError("log.unavailable", reason), [failure]);
    },
  };
}

function knownReason(reason: string): DeadReason | undefined {
  if (reason === "") return undefined;
  const known = DEAD_REASONS.find((each) => each === reason);
  if (known === undefined) throw invalidField("reason", `must be one of ${DEAD_REASONS.join(", ")}`);
  return known;
}

type LetterMessage = MessageInitShape<typeof DeadLetterSchema>;

/** As many of the page as one answer may hold, and one at least. */
function answerOf({ items, next }: Page<KeptDeadLetter>, omitValues: boolean) {
  const letters: LetterMessage[] = [];
  let bytes = 0;
  let last: Cursor | undefined;
  for (const letter of items) {
    if (bytes >= ANSWER_BYTES) return { letters, next: last };
    bytes += bytesOf(letter, omitValues);
    letters.push(letterMessage(letter, omitValues));
    last = { timeMs: letter.record.appendedAtMs, id: letter.id };
  }
  return { letters, next };
}

function bytesOf({ record, message }: KeptDeadLetter, omitValues: boolean): number {
  const headers = Object.entries(record.headers).reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  return (omitValues ? 0 : (record.value?.length ?? 0)) + (record.key?.length ?? 0) + headers + message.length;
}

function letterMessage(letter: KeptDeadLetter, omitValues: boolean): LetterMessage {
  const { record } = letter;
  return {
    id: letter.id,
    reason: letter.reason,
    message: letter.message,
    topic: record.topic,
    partition: record.partition,
    offset: BigInt(record.offset),
    appendedAt: timestampFromMs(record.appendedAtMs),
    ...(record.key !== null && { key: record.key }),
    ...(record.value !== null && !omitValues && { value: record.value }),
    valueBytes: record.value?.length ?? 0,
    headers: { ...record.headers },
    truncated: letter.truncated,
    ...(letter.redrivenAtMs !== undefined && { redrivenAt: timestampFromMs(letter.redrivenAtMs) }),
  };
}
