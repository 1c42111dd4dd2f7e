/**
 * Dead letters in the store under a key of the keyring, whole: key, headers, value and message, since nobody knows
 * what stands where in a record that could not be read. Those of before and after the setting was turned lie side by side; a sealed
 * one says so itself, by how its value begins. One whose plain value begins so is sealed whatever the setting says.
 */
import type { ErasureRequest, ErasureStep, ErasureStore } from "../delivery/erasure.ts";
import { FOUND_FROM_CHARACTERS } from "../delivery/erasure.ts";
import type { RetentionStore } from "../delivery/retention.ts";
import { type EventStores, over, type PayloadSealing, withSealedPayloads } from "../delivery/sealed-payloads.ts";
import { type DeadLetter, type DeadLetterStore, type KeptDeadLetter, letterToKeep } from "../intake/dead-letters.ts";
import type { LogRecord } from "../intake/event-log.ts";
import { CodedError } from "../kernel/errors.ts";
import type { Cursor } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";
import { bytesSealedUnder, type Keyring } from "../signing/keyring.ts";

const MARK = Buffer.from("\0passbus sealed letter\0");
const WALK_ROWS = 50;

interface LetterStores {
  readonly deadLetters: DeadLetterStore;
  readonly erasures: ErasureStore;
}

/** The stores, which nobody can tell from those given but by what lies in them. */
export function withSealedLetters<T extends LetterStores>(stores: T, sealing: PayloadSealing): T {
  const { deadLetters, erasures } = stores;
  const open = (letter: KeptDeadLetter) => openLetter(letter, sealing);
  return {
    ...stores,
    deadLetters: over<DeadLetterStore, T["deadLetters"]>(deadLetters, {
      put: (letters) => deadLetters.put(letters.map((letter) => sealLetter(letter, sealing))),
      async list(tenant, filter, request) {
        const page = await deadLetters.list(tenant, filter, request);
        return { ...page, items: page.items.map(open) };
      },
      async find(tenant, ids) {
        const letters = await deadLetters.find(tenant, ids);
        return letters.map((letter) => (letter === undefined ? undefined : open(letter)));
      },
    }),
    erasures: over<ErasureStore, T["erasures"]>(erasures, {
      erase: (request) => erase(stores, request, sealing),
    }),
  };
}

/** With all that `PASSBUS_ENCRYPT_PAYLOADS` is about. */
export function sealedStores<T extends EventStores & LetterStores>(stores: T, sealing: PayloadSealing): T {
  return withSealedLetters(withSealedPayloads(stores, sealing), sealing);
}

/** How many dead letters in the store are sealed, by their key. Like payloads, they go with their age. */
export async function letterKeyUse(
  {
    retention,
    deadLetters,
  }: { readonly retention: Pick<RetentionStore, "tenants"> } & Pick<LetterStores, "deadLetters">,
  uses = new Map<string, number>(),
): Promise<ReadonlyMap<string, number>> {
  for (const { tenant } of await retention.tenants()) {
    for await (const { record } of walk(deadLetters, tenant)) {
      const keyId = isMarked(record.value) ? bytesSealedUnder(record.value.subarray(MARK.length)) : undefined;
      if (keyId !== undefined) uses.set(keyId, (uses.get(keyId) ?? 0) + 1);
    }
  }
  return uses;
}

async function* walk(letters: Pick<DeadLetterStore, "list">, tenant: Tenant): AsyncGenerator<KeptDeadLetter> {
  let after: Cursor | undefined;
  do {
    const page = await letters.list(tenant, {}, { size: WALK_ROWS, ...(after !== undefined && { after }) });
    yield* page.items;
    after = page.next;
  } while (after !== undefined);
}

/** What is sealed, the store can't look into: those that hold the pass are looked for here, once the rest is gone. */
async function erase(stores: LetterStores, request: ErasureRequest, sealing: PayloadSealing): Promise<ErasureStep> {
  const { deadLetters, erasures } = stores;
  const { target, beforeMs, limit } = request;
  const step = await erasures.erase(request);
  if (step.more || target.kind !== "pass") return step;
  const letterIds: string[] = [];
  for await (const letter of walk(deadLetters, target.tenant)) {
    if (letter.record.appendedAtMs > beforeMs || !isMarked(letter.record.value)) continue;
    if (holds(openLetter(letter, sealing).record, target.passId)) letterIds.push(letter.id);
    if (letterIds.length >= limit) break;
  }
  if (letterIds.length === 0) return step;
  const lettersAfter = step.lettersAt ?? request.lettersAfter;
  const last = await erasures.erase({ ...request, letterIds, ...(lettersAfter !== undefined && { lettersAfter }) });
  return {
    ...step,
    ...last,
    events: step.events + last.events,
    deliveries: step.deliveries + last.deliveries,
    deadLetters: step.deadLetters + last.deadLetters,
    others: step.others + last.others,
  };
}

/** As the stores look for it in what isn't sealed. */
function holds({ key, value, headers }: LogRecord, passId: string): boolean {
  const wanted = Buffer.from(passId);
  if (key !== null && wanted.equals(key)) return true;
  if (passId.length < FOUND_FROM_CHARACTERS) return false;
  return JSON.stringify(headers).includes(passId) || (value !== null && Buffer.from(value).includes(wanted));
}

function isMarked(value: Uint8Array | null): value is Uint8Array {
  return value !== null && MARK.equals(value.subarray(0, MARK.length));
}

/** Bound to its row: one that is copied to another does not open there. */
const sealedFor = ({ tenant, id }: KeptDeadLetter): string =>
  `dead-letter/${tenant.organisation}/${tenant.environment}/${id}`;

function sealLetter(given: DeadLetter, { keyring, isOn }: PayloadSealing): DeadLetter {
  if (!isOn && !isMarked(given.record.value)) return given;
  const letter = letterToKeep(given);
  const { key: _key, value: _value, headers: _headers, rawHeaders: _raw, ...place } = letter.record;
  const sealed = keyring.sealBytes(packed(letter), sealedFor(letter));
  return {
    ...letter,
    message: SEALED_MESSAGE,
    record: { ...place, key: null, headers: {}, value: Buffer.concat([MARK, sealed]) },
  };
}

/** One whose key is missing is shown without what stood in it, and can't be sent again until the key is back. */
function openLetter(letter: KeptDeadLetter, { keyring, log }: Pick<PayloadSealing, "keyring" | "log">): KeptDeadLetter {
  const { record } = letter;
  if (!isMarked(record.value)) return letter;
  try {
    // Before messages were sealed they stood beside.
    const { message = letter.message, ...contents } = opened(keyring, record.value, sealedFor(letter));
    return { ...letter, message, record: { ...record, ...contents } };
  } catch (err) {
    if (!(err instanceof CodedError)) throw err;
    log.error("dead_letter.not_opened", { letter: letter.id, err });
    return { ...letter, truncated: true, record: { ...record, value: null } };
  }
}

function opened(keyring: Keyring, value: Uint8Array, about: string): Contents {
  return unpacked(keyring.openBytes(value.subarray(MARK.length), about));
}

/** What stands in its place in the store, and is read where the letter does not open. */
const SEALED_MESSAGE = "encrypted, as the record is";

interface Contents extends Pick<LogRecord, "key" | "value" | "headers" | "rawHeaders"> {
  readonly message?: string;
}

interface Head extends Pick<LogRecord, "headers"> {
  readonly message?: string;
  /** Bytes of the key, which come behind the head; absent where there is none. */
  readonly key?: number;
  /** Whether the rest is a value: an empty one differs from none. */
  readonly hasValue: boolean;
  /** In base64. */
  readonly rawHeaders?: readonly (readonly [name: string, value: string])[];
}

/** The length of the head in four bytes, the head in JSON, the key, the value. */
function packed({ message, record: { key, value, headers, rawHeaders } }: KeptDeadLetter): Uint8Array {
  const head: Head = {
    message,
    headers,
    hasValue: value !== null,
    ...(key !== null && { key: key.length }),
    ...(rawHeaders && { rawHeaders: rawHeaders.map(([name, raw]) => [name, Buffer.from(raw).toString("base64")]) }),
  };
  const json = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json, key ?? Buffer.alloc(0), value ?? Buffer.alloc(0)]);
}

function unpacked(bytes: Uint8Array): Contents {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const behindHead = 4 + whole.readUInt32BE();
  const { message, headers, hasValue, key, rawHeaders }: Head = JSON.parse(whole.toString("utf8", 4, behindHead));
  const behindKey = behindHead + (key ?? 0);
  return {
    key: key === undefined ? null : new Uint8Array(whole.subarray(behindHead, behindKey)),
    value: hasValue ? new Uint8Array(whole.subarray(behindKey)) : null,
    headers,
    ...(message !== undefined && { message }),
    ...(rawHeaders && {
      rawHeaders: rawHeaders.map(([name, raw]) => [name, new Uint8Array(Buffer.from(raw, "base64"))] as const),
    }),
  };
}
