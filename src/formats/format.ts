/**
 * How the body of a webhook looks. One file a format; each is a pure function of an event and a subscription's options,
 * so that one rendering serves every subscription with the same options.
 */
import type { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { DecodedEvent } from "../domain/event.ts";
import type { FormatName, FormatOptions, ProtocolEvents, Subscription } from "../domain/subscription.ts";

/** One event in one format, ready to be signed. */
export interface Rendered {
  readonly method: "POST" | "PUT" | "DELETE";
  /** `content-type` and what else the format sends of its own; names in lower case. Signatures are not here. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** SHA-256 of the body in hex, for the attempt's record. */
  readonly bodySha256: string;
}

/** What a rendering depends on besides the event. */
export type RenderOptions = FormatOptions & ProtocolEvents;

/** What of a subscription its webhooks' bodies depend on. */
export function renderOptions({ formatOptions, membershipEvents, couponEvents }: Subscription): RenderOptions {
  if (membershipEvents === undefined && couponEvents === undefined) return formatOptions;
  return { ...formatOptions, membershipEvents: membershipEvents ?? [], couponEvents: couponEvents ?? [] };
}

export interface Format {
  readonly name: FormatName;
  /** The types that the format can say. */
  readonly types: readonly PassEventType[];
  /** It can say the events of a pass's protocol, so a subscription may name them. */
  readonly saysProtocolEvents?: true;
  /** It can say what passbus has to say of itself (`PassEvent.operational_event`). */
  readonly saysOperationalEvents?: true;
  /** Its endpoints get all of `types`: a subscription can't choose among them. */
  readonly alwaysAllTypes?: true;
  /** Equal keys render equally: what of the options the format reads, as one string. */
  renderKey(options: RenderOptions): string;
  /**
   * `event` must be of a type that the format can say, carry a protocol event that the options name, or be one of
   * passbus's own where the format says these.
   */
  render(event: DecodedEvent, options: RenderOptions): Rendered;
  /** The vendor's own signature header over the body, keyed with the secret's text; absent where there is none. */
  readonly bodySignatureHeader?: string;
  /** It sends the static `authorization` that the subscriber stored. */
  readonly sendsAuthorization?: true;
}
