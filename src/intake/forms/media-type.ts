import { unreadable } from "./refusals.ts";

/** The messages that a value can be. */
export const MESSAGE_NAMES = ["passbus.v1.PassEvent", "io.SinkSubscriptionPayload"] as const;
export type MessageName = (typeof MESSAGE_NAMES)[number];

/** What a content type says of a value. */
export interface MediaType {
  /** In lower case, without parameters; empty where nothing is said. */
  readonly name: string;
  /** The parameter `proto`: which message it is. */
  readonly proto?: MessageName;
}

/**
 * RFC 9110 §8.3.1: the name and the names of parameters in any case, values with or without quotes. Parameters that we
 * don't know say nothing to us.
 * @throws CodedError `event.unreadable` for a message that passbus doesn't know.
 */
export function mediaType(contentType = ""): MediaType {
  const [name = "", ...parameters] = contentType.split(";");
  const proto = protoOf(parameters);
  return { name: name.trim().toLowerCase(), ...(proto !== undefined && { proto }) };
}

function protoOf(parameters: readonly string[]): MessageName | undefined {
  for (const parameter of parameters) {
    const said = /^\s*proto\s*=\s*"?(.*?)"?\s*$/i.exec(parameter)?.[1];
    if (said === undefined) continue;
    const known = MESSAGE_NAMES.find((name) => name === said);
    if (known !== undefined) return known;
    throw unreadable(`content-type: the parameter proto names no message that passbus reads; ${CHOICE}`);
  }
  return undefined;
}

const CHOICE = `use ${MESSAGE_NAMES.join(" or ")}`;
