import { type PassProtocol, PassProtocolSchema } from "../../gen/io/pass_pb.js";

/** "Values 1000 onwards are for proprietary protocols" (PassKit's PassProtocol, seed 003): they have no names. */
const FIRST_PROPRIETARY = 1_000;

/** Whether passes can have this protocol: one that PassKit names, a proprietary one, or 0, none that was told. */
export function isPassProtocol(protocol: PassProtocol): boolean {
  return protocol >= FIRST_PROPRIETARY || PassProtocolSchema.value[protocol] !== undefined;
}

/** PassKit's name for it, or the number of one that has none. */
export function passProtocolName(protocol: PassProtocol): string {
  return PassProtocolSchema.value[protocol]?.name ?? String(protocol);
}
