/**
 * Standard Webhooks 1.0: `{"type":"pass.created","timestamp":…,"data":{…}}`. `data` is the PassEvent as protojson, less
 * what stands beside it (type, occurredAt) and whom it belongs to: docs/decisions/standard-payload.md.
 */
import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { eventData, TYPE_NAMES, typeName } from "./event-data.ts";
import type { Format } from "./format.ts";
import { rfc3339 } from "./proto-json.ts";
import { jsonBody } from "./rendered.ts";

export const standard: Format = {
  name: "STANDARD",
  types: [...TYPE_NAMES.keys()],
  saysProtocolEvents: true,
  saysOperationalEvents: true,
  renderKey: () => "",
  render({ event }) {
    const type = typeName(event, "STANDARD");
    const timestamp = rfc3339(event.occurredAt ?? create(TimestampSchema));
    return jsonBody("POST", `{"type":"${type}","timestamp":"${timestamp}","data":${eventData(event)}}`);
  },
};
