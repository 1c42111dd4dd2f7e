/** A producer that is newer than this passbus: what its events say in fields that are unknown here is not lost. */
import { create, fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { expect, test } from "vitest";
import { PassSchema } from "../../gen/io/pass_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { eventually } from "../support/within.ts";

const SOON_MS = 10_000;
const NEW_FIELD = 4_000;

/** A message of one text under a number that no definition has. */
const newer = (text: string) => new BinaryWriter().tag(NEW_FIELD, WireType.LengthDelimited).string(text).finish();

function textsIn(unknown: readonly { readonly no: number; readonly data: Uint8Array }[] | undefined) {
  return unknown?.map(({ no, data }) => [no, new BinaryReader(data).string()]);
}

test("unknown fields of an event and of its pass come through API, log and store", { timeout: 60_000 }, async () => {
  using data = new DataDirectory();
  await using passbus = await RunningPassbus.start(data.path);
  const event = create(PassEventSchema, { id: "evt-new", type: PassEventType.CREATED, pass: { id: "p" } });
  event.$unknown = fromBinary(PassEventSchema, newer("of the event")).$unknown ?? [];
  if (event.pass !== undefined) event.pass.$unknown = fromBinary(PassSchema, newer("of the pass")).$unknown ?? [];
  await passbus.api.events.publishEvents({ events: [event] });
  const stored = await eventually(SOON_MS, "the event in the store", () =>
    passbus.api.events.getEvent({ id: "evt-new" }).then(
      (answer) => answer.event?.event,
      () => undefined,
    ),
  );
  expect(textsIn(stored.$unknown)).toEqual([[NEW_FIELD, "of the event"]]);
  expect(textsIn(stored.pass?.$unknown)).toEqual([[NEW_FIELD, "of the pass"]]);
});
