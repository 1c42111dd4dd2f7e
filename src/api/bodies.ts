/**
 * What bodies may weigh, and how many bytes of those that have not come whole are held at a time: whoever stops before
 * the last byte of many would else have passbus keep them all. Requests of Health and reflection are too small to count,
 * so nobody who fills the budget keeps a load balancer from asking.
 */
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";

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
   * @throws CodedError `limit.bodies`
   */
  hold(bytes: number): void;
}

export class BodyBudget {
  #held = 0;
  readonly #heldBy = new Map<string | undefined, number>();

  /** `organisation` is undefined for requests to bins, which need no key. Its bytes are given back by `hold(0)`. */
  open(organisation: string | undefined): HeldBody {
    let held = 0;
    const hold = (bytes: number) => {
      if (bytes > held) this.#check(organisation, bytes - held);
      this.#add(organisation, bytes - held);
      held = bytes;
    };
    return { hold };
  }

  #check(organisation: string | undefined, more: number): void {
    const own = (this.#heldBy.get(organisation) ?? 0) + more;
    if (organisation !== undefined && own <= LIMITS.ownBodyBytes) return;
    const mostOwn = organisation === undefined ? LIMITS.binBodiesBytes : LIMITS.bodyBytesPerOrganisation;
    if (own <= mostOwn && this.#held + more <= LIMITS.bodyBytes) return;
    const most = own > mostOwn ? mostOwn : LIMITS.bodyBytes;
    const message = `requests that have not come whole hold ${most} bytes, as many as they may; try again`;
    throw new CodedError("limit.bodies", message, { retryAfterMs: 1_000 });
  }

  #add(organisation: string | undefined, more: number): void {
    this.#held += more;
    const own = (this.#heldBy.get(organisation) ?? 0) + more;
    if (own === 0) this.#heldBy.delete(organisation);
    else this.#heldBy.set(organisation, own);
  }
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
