import { readFileSync } from "node:fs";
import { fromJsonString } from "@bufbuild/protobuf";
import { type PassEvent, PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";

/** The files in samples/: each a PassEvent as protojson, without id, organisation and environment. */
const FILES: ReadonlyMap<PassEventType, string> = new Map([
  [PassEventType.CREATED, "created"],
  [PassEventType.INSTALLED, "installed"],
  [PassEventType.UPDATED, "updated"],
  [PassEventType.UNINSTALLED, "uninstalled"],
  [PassEventType.INVALIDATED, "invalidated"],
  [PassEventType.DELETED, "deleted"],
  [PassEventType.SCANNED, "scanned"],
]);

/** Files that were read. */
const texts = new Map<string, string>();

/**
 * A built-in event of the type, for previews, test sends and the demo; undefined for a type that this version does not
 * know. The passes of the first four are those of seed 003, "scanned" is seed 002's, the other two go on from seed
 * 003's; what the other dialects say beside is from seeds 001 and 002. The id, organisation and environment are the
 * caller's to fill in.
 */
export function sampleEvent(type: PassEventType): PassEvent | undefined {
  const name = FILES.get(type);
  if (name === undefined) return undefined;
  const text = texts.get(name) ?? readFileSync(new URL(`./samples/${name}.json`, import.meta.url), "utf8");
  texts.set(name, text);
  return fromJsonString(PassEventSchema, text);
}
