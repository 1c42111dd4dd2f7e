/** Reads a pass as PassKit's webhooks write it: numbers for enums, `{seconds, nanos}` for times. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Pass, PassSchema } from "../../gen/io/pass_pb.js";

/** Every `…At` of the metadata has its seconds as bigint; the rest is protobuf-es's own shape already. */
export function passFromGo(json: Record<string, unknown>): Pass {
  const { metadata, ...rest } = json;
  const times: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(metadata ?? {})) {
    times[name] = name.endsWith("At") ? timestamp(value) : value;
  }
  const init = metadata === undefined ? rest : { ...rest, metadata: times };
  return create(PassSchema, init as MessageInitShape<typeof PassSchema>);
}

function timestamp({ seconds = 0, nanos = 0 }: { seconds?: number; nanos?: number }) {
  return { seconds: BigInt(seconds), nanos };
}
