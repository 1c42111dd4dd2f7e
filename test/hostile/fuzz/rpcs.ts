/** Every RPC of a server process, called with what nobody should send, in every protocol. */
import type { DescMethod } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { METHODS, nameOf } from "../../support/everyone.ts";
import { PROTOCOLS, type RawCall, type RawCaller } from "./calls.ts";
import { Chance } from "./chance.ts";
import { binaryOf, jsonOf, Messages } from "./messages.ts";
import { mutated } from "./mutations.ts";

/** Who is called, and what must never come back. */
export interface Fuzzed {
  readonly caller: RawCaller;
  readonly key: string;
  /** Of an organisation that may come to harm: for calls after which one can't go on. */
  readonly otherKey: string;
  /** Ids of things, its own and others'. */
  readonly names: readonly string[];
  /** Stands in all that belongs to another tenant. */
  readonly canary: string;
}

export interface CallCounts {
  /** By code. */
  readonly answers: Map<number, number>;
  readonly answered: Set<string>;
}

/** They lower rates, and delete whose key it is. */
const DRASTIC: ReadonlySet<string> = new Set(["SetLimits", "DeleteOrganisation"]);

/** What only a mistake of passbus's own is answered with. */
const MISTAKES: ReadonlySet<number> = new Set([Code.Internal, Code.Unknown, Code.DataLoss, -1]);

type Caller = Pick<Fuzzed, "key" | "otherKey" | "names">;

function callOf(seed: number, number: number, { key, otherKey, names }: Caller): RawCall {
  const chance = new Chance(seed, number, "call");
  const isTame = chance.oneIn(2);
  const method: DescMethod = chance.of(METHODS);
  const messages = new Messages(chance, names, isTame);
  const encoding = chance.oneIn(2) ? "binary" : "json";
  const isUnary = method.methodKind === "unary" || method.methodKind === "server_streaming";
  const count = isUnary ? 1 : chance.below(4);
  const bytes = Array.from({ length: count }, () => {
    const message = messages.message(method.input);
    const right = encoding === "binary" ? binaryOf(method.input, message) : Buffer.from(jsonOf(method.input, message));
    return isTame && chance.oneIn(2) ? right : mutated(right, encoding, chance);
  });
  const shown = chance.oneIn(50)
    ? chance.of(["", "x", "pb_production_0_0", "\u00e9"])
    : DRASTIC.has(method.name)
      ? otherKey
      : key;
  return {
    method,
    protocol: encoding === "json" ? "Connect" : chance.of(PROTOCOLS),
    messages: bytes,
    encoding,
    key: shown,
  };
}

/** @throws where the case shows a mistake, saying which. */
export async function fuzzCall(seed: number, number: number, fuzzed: Fuzzed, counts: CallCounts): Promise<void> {
  const call = callOf(seed, number, fuzzed);
  const what = `${nameOf(call.method)} over ${call.protocol} in ${call.encoding}`;
  const { code, text, all } = await fuzzed.caller.call(call).catch((error: unknown) => {
    throw new Error(`${what}: ${String(error)}`, { cause: error });
  });
  counts.answers.set(code, (counts.answers.get(code) ?? 0) + 1);
  if (code === 0) counts.answered.add(nameOf(call.method));
  if (MISTAKES.has(code)) throw new Error(`${what}: ${Code[code] ?? code} ${text.slice(0, 300)}`);
  if (all.includes(fuzzed.canary)) throw new Error(`${what}: another tenant's data`);
}
