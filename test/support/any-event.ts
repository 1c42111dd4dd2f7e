/** Events as intake accepts them, by chance: known enum numbers, times in the calendar, well-formed text. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { DeviceAttributesSchema, LifecycleEventsSchema, StatusSchema } from "../../gen/io/pass_pb.js";
import { type PassEvent, PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { EVENT_TYPES } from "../../src/domain/event.ts";

const text = fc.string({ unit: "binary", maxLength: 12 }).map((value) => value.toWellFormed());
const name = fc.oneof(
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).map((value) => `${value.toWellFormed()}.`),
  fc.constantFrom("p 1", '"%', "Euro € 😀", "__proto__"),
);
const time = fc
  .record({ seconds: fc.bigInt(-62_135_596_800n, 253_402_300_799n), nanos: fc.integer({ min: 0, max: 999_999_999 }) })
  .map((fields) => create(TimestampSchema, fields));
const maybe = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined });
const map = fc.dictionary(text, text, { maxKeys: 4 });
const bits = (type: { readonly values: readonly { readonly number: number }[] }) =>
  fc.array(fc.constantFrom(...type.values.map((value) => value.number)), { maxLength: 3 });

const pass = fc.record({
  id: name,
  classId: text,
  protocol: fc.constantFrom(0, 3, 100),
  personDetails: maybe(fc.record({ displayName: text, otherNames: fc.array(text, { maxLength: 2 }) })),
  metadata: maybe(
    fc.record({
      status: fc.constantFrom(...StatusSchema.values.map((value) => value.number)),
      lifecycleEvents: bits(LifecycleEventsSchema),
      installDeviceAttributes: bits(DeviceAttributesSchema),
      renderLocation: maybe(fc.record({ latitude: fc.double({ noNaN: true, noDefaultInfinity: true }) })),
      issueAt: maybe(time),
      lastInstalledAt: maybe(time),
      lastUninstalledAt: maybe(time),
      invalidatedAt: maybe(time),
    }),
  ),
  recordData: map,
  externalId: text,
});

const details = fc.record({
  downloadUrl: text,
  deviceType: text,
  status: text,
  nfc: maybe(text),
  content: maybe(fc.dictionary(text, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 3 })),
  barcode: maybe(fc.record({ enabled: fc.boolean(), type: text, value: maybe(text) })),
});

const tokenGate = fc.record({
  platform: text,
  createdAt: maybe(time),
  expireAction: maybe(text),
  chain: maybe(fc.record({ name: text })),
  registrations: fc.array(fc.record({ id: text, deletedAt: maybe(time) }), { maxLength: 3 }),
  nfts: fc.array(fc.record({ tokenId: text }), { maxLength: 3 }),
});

const scan = fc.record({
  id: text,
  statusDetail: maybe(text),
  scannedAt: maybe(time),
  reader: maybe(fc.record({ id: text, name: text, type: text })),
});

/** As the engine has one: read from the wire, with what the store fills in. */
export const anyEvent: fc.Arbitrary<PassEvent> = fc
  .record({
    id: fc.string({ minLength: 1, maxLength: 20 }).map((value) => value.replaceAll(" ", "_")),
    type: fc.constantFrom(...EVENT_TYPES),
    occurredAt: time,
    organisationId: fc.constantFrom("acme", "Straße:7"),
    environment: fc.constant("production"),
    pass,
    details: maybe(details),
    tokenGate: maybe(tokenGate),
    scan: maybe(scan),
  })
  .map((fields) => fromBinary(PassEventSchema, toBinary(PassEventSchema, create(PassEventSchema, fields as never))));
