/**
 * How the body of a webhook looks. One file a format; each is a pure function of an event and a subscription's options,
 * so that one rendering serves every subscription with the same options.
 */
import type { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { DecodedEvent } from "../domain/event.ts";
import type { FormatName, FormatOptions } from "../domain/subscription.ts";

/** One event in one format, ready to be signed. */
export interface Rendered {
  readonly method: "POST" | "PUT" | "DELETE";
  /** `content-type` and what else the format sends of its own; names in lower case. Signatures are not here. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** SHA-256 of the body in hex, for the attempt's record. */
  readonly bodySha256: string;
}

export interface Format {
  readonly name: FormatName;
  /** The types that the format can say. */
  readonly types: readonly PassEventType[];
  /** Equal keys render equally: what of the options the format reads, as one string. */
  renderKey(options: FormatOptions): string;
  /** `event` must be of a type that the format can say. */
  render(event: DecodedEvent, options: FormatOptions): Rendered;
  /** The vendor's own signature header over the body, keyed with the secret's text; absent where there is none. */
  readonly bodySignatureHeader?: string;
}
