/**
 * What bodies may weigh, and how many bytes of those that have not come whole are held at a time: whoever stops before
 * the last byte of many would else have passbus keep them all. Requests of Health and reflection are too small to count,
 * so nobody who fills the budget keeps a load balancer from asking.
 */
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import type { Principal } from "../access/authenticate.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { tenantKey } from "../kernel/tenant.ts";

/** What one request of the service may weigh, unpacked. */
export function mostBytesOf({ typeName }: { readonly typeName: string }): number {
  if (typeName === Health.typeName) return LIMITS.keylessBytes;
  if (typeName === ServerReflection.typeName) return LIMITS.reflectionBytes;
  return LIMITS.requestBytes;
}

/** One body's part of the budget. */
export interface HeldBody {
  /**
   * So many of its bytes are held from now on.
   * @throws CodedError `limit.bodies`, or `limit.request_bytes` where it is larger than a portal session's may be
   */
  hold(bytes: number): void;
}

/**
 * Bodies of portal sessions count in the organisation's too, and have bounds of their own below it: with a token that is
 * in a customer's browser nobody is to take what the organisation's keys need, or those of others.
 */
export class BodyBudget {
  readonly #heldBy = new Map<string, number>();

  /** `owner` is undefined for requests to bins, which need no key. Its bytes are given back by `hold(0)`. */
  open(owner: Principal | undefined): HeldBody {
    const holders = holdersOf(owner);
    const mostBytes = owner?.entityId === undefined ? Number.POSITIVE_INFINITY : LIMITS.sessionRequestBytes;
    let held = 0;
    const hold = (bytes: number) => {
      if (bytes > mostBytes) throw tooLarge(mostBytes);
      if (bytes > held) this.#check(holders, bytes - held);
      this.#add(holders, bytes - held);
      held = bytes;
    };
    return { hold };
  }

  #check(holders: readonly Holder[], more: number): void {
    const after = ({ name }: Holder) => (this.#heldBy.get(name) ?? 0) + more;
    const isSpared = holders.some((holder) => after(holder) <= (holder.spared ?? 0));
    for (const holder of holders) {
      if (after(holder) <= holder.most || (isSpared && holder.isShared === true)) continue;
      const message = `requests${holder.of} that have not come whole hold ${holder.most} bytes, as many as they may; try again`;
      throw new CodedError("limit.bodies", message, { retryAfterMs: 1_000 });
    }
  }

  #add(holders: readonly Holder[], more: number): void {
    for (const { name } of holders) {
      const held = (this.#heldBy.get(name) ?? 0) + more;
      if (held === 0) this.#heldBy.delete(name);
      else this.#heldBy.set(name, held);
    }
  }
}

/** One whom a body counts for. */
interface Holder {
  readonly name: string;
  /** Whose the requests are, for the refusal. */
  readonly of: string;
  readonly most: number;
  /** With so many bytes or fewer it goes on though what is shared is used up. */
  readonly spared?: number;
  /** Of all organisations. */
  readonly isShared?: true;
}

const ALL: Holder = { name: "all", of: "", most: LIMITS.bodyBytes, isShared: true };
const ALL_SESSIONS: Holder = {
  name: "sessions",
  of: " of portal sessions",
  most: LIMITS.sessionBodyBytes,
  isShared: true,
};
const OF_BINS: readonly Holder[] = [{ name: "bins", of: " to bins", most: LIMITS.binBodiesBytes }, ALL];

/** The narrowest first, so that the refusal names what the caller can do most about. */
function holdersOf(owner: Principal | undefined): readonly Holder[] {
  if (owner === undefined) return OF_BINS;
  const { tenant, keyId, entityId } = owner;
  const { organisation } = tenant;
  const of = " of the organisation";
  const whole = { name: `organisation/${organisation}`, of, most: LIMITS.bodyBytesPerOrganisation };
  // Apart from its sessions', which would use up what its keys are spared.
  if (entityId === undefined)
    return [{ ...whole, name: `keys/${organisation}`, spared: LIMITS.ownBodyBytes }, whole, ALL];
  return [
    { name: `key/${keyId}`, of: " of the portal session", most: LIMITS.bodyBytesPerSession },
    { name: `entity/${tenantKey(tenant)}/${entityId}`, of: " of the entity", most: LIMITS.bodyBytesPerEntity },
    {
      name: `sessions/${organisation}`,
      of: " of the organisation's portal",
      most: LIMITS.sessionBodyBytesPerOrganisation,
      spared: LIMITS.ownSessionBodyBytes,
    },
    whole,
    ALL_SESSIONS,
    ALL,
  ];
}

function tooLarge(mostBytes: number): CodedError {
  const message = `the request is larger than the ${mostBytes} bytes that a portal session's may have`;
  return new CodedError("limit.request_bytes", message);
}

/** The head of an enveloped message: a byte of flags and four of length, in gRPC, gRPC-Web and Connect's streams. */
const HEAD_BYTES = 5;

/** Reads enveloped messages in parts. */
export class Envelopes {
  readonly #head = Buffer.alloc(HEAD_BYTES);
  /** Of the message that is under way, its head too. */
  #read = 0;

  /** How many bytes of a message that has not come whole there are, with these. */
  read(chunk: Uint8Array): number {
    for (let at = 0; at < chunk.length; ) {
      const isHead = this.#read < HEAD_BYTES;
      const end = isHead ? HEAD_BYTES : this.#end;
      const taken = Math.min(end - this.#read, chunk.length - at);
      if (isHead) this.#head.set(chunk.subarray(at, at + taken), this.#read);
      this.#read += taken;
      at += taken;
      if (this.#read >= HEAD_BYTES && this.#read === this.#end) this.#read = 0;
    }
    return this.#read;
  }

  /** Once its head has been read. */
  get #end(): number {
    return HEAD_BYTES + this.#head.readUInt32BE(1);
  }
}
