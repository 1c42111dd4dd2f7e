/**
 * Standard Webhooks 1.0: `{"type":"pass.created","timestamp":…,"data":{…}}`. `data` is the PassEvent as protojson, less
 * what stands beside it (type, occurredAt) and whom it belongs to: docs/decisions/standard-payload.md.
 */
import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { type PassEvent, PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { CodedError } from "../kernel/errors.ts";
import type { Format } from "./format.ts";
import { protoJson, rfc3339 } from "./proto-json.ts";
import { jsonBody } from "./rendered.ts";

const TYPE_NAMES: ReadonlyMap<PassEventType, string> = new Map([
  [PassEventType.CREATED, "pass.created"],
  [PassEventType.INSTALLED, "pass.installed"],
  [PassEventType.UPDATED, "pass.updated"],
  [PassEventType.UNINSTALLED, "pass.uninstalled"],
  [PassEventType.INVALIDATED, "pass.invalidated"],
  [PassEventType.DELETED, "pass.deleted"],
  [PassEventType.SCANNED, "pass.scanned"],
]);

export const standard: Format = {
  name: "STANDARD",
  types: [...TYPE_NAMES.keys()],
  renderKey: () => "",
  render({ event }) {
    const type = TYPE_NAMES.get(event.type);
    if (type === undefined) {
      throw new CodedError("format.failed", `STANDARD cannot say ${PassEventType[event.type]}`);
    }
    const timestamp = rfc3339(event.occurredAt ?? create(TimestampSchema));
    return jsonBody("POST", `{"type":"${type}","timestamp":"${timestamp}","data":${data(event)}}`);
  },
};

/** protojson leaves out what has its zero value, and so the four that are emptied here. */
function data(event: PassEvent): string {
  return protoJson(PassEventSchema, {
    ...event,
    type: PassEventType.UNSPECIFIED,
    occurredAt: undefined,
    organisationId: "",
    environment: "",
  });
}
