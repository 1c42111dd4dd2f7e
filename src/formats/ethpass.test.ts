/** ethpass's payloads (seed 001) beside the documented one, which is test/golden/ethpass.test.ts. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { DeviceAttributes } from "../../gen/io/pass_pb.js";
import { type PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodedEvent, plainOptions } from "../../test/support/events.ts";
import { ethpass } from "./ethpass.ts";

function render(init: MessageInitShape<typeof PassEventSchema>) {
  return JSON.parse(ethpass.render(decodedEvent(init), plainOptions).body.toString());
}

const at = (seconds: number, nanos = 0) => create(TimestampSchema, { seconds: BigInt(seconds), nanos });

describe("ETHPASS", () => {
  it("names each type as the vendor does", () => {
    expect(ethpass.types.map((type) => render({ type, pass: { id: "p1" } }).event)).toEqual([
      "pass:create",
      "pass:register",
      "pass:unregister",
      "pass:expire",
      "pass:scan",
    ]);
  });

  it("has every key of the pass, with null for what nobody told", () => {
    expect(render({ type: PassEventType.INSTALLED, pass: { id: "p1" } }).result).toEqual({
      id: "p1",
      barcodeSignature: null,
      platform: null,
      ownerAddress: null,
      createdAt: null,
      expiredAt: null,
      expireAction: null,
      lastScannedAt: null,
      chain: null,
      registrations: [],
      nfts: [],
    });
  });

  it.each([
    [0, "1970-01-01T00:16:40+00:00"],
    [500_000_000, "1970-01-01T00:16:40.5+00:00"],
    [26_695_000, "1970-01-01T00:16:40.026695+00:00"],
    [999, "1970-01-01T00:16:40+00:00"],
    [999_999_999, "1970-01-01T00:16:40.999999+00:00"],
  ])("writes a time with %i ns as %s", (nanos, text) => {
    const tokenGate = { createdAt: at(1_000, nanos) };
    expect(render({ type: PassEventType.CREATED, pass: { id: "p1" }, tokenGate }).result.createdAt).toBe(text);
  });

  it("takes the event's own time for what it is about", () => {
    const init = { pass: { id: "p1" }, occurredAt: at(1_000) };
    const time = "1970-01-01T00:16:40+00:00";
    const times = { createdAt: null, expiredAt: null, lastScannedAt: null };
    const result = (type: PassEventType) => render({ ...init, type }).result;
    expect(result(PassEventType.CREATED)).toMatchObject({ ...times, createdAt: time });
    expect(result(PassEventType.INVALIDATED)).toMatchObject({ ...times, expiredAt: time });
    expect(result(PassEventType.SCANNED)).toMatchObject({ ...times, lastScannedAt: time });
    const scan = { scannedAt: at(2_000) };
    expect(render({ ...init, type: PassEventType.SCANNED, scan }).result.lastScannedAt).toBe(
      "1970-01-01T00:33:20+00:00",
    );
  });

  it.each([
    [DeviceAttributes.Ios, "apple"],
    [DeviceAttributes.Android, "google"],
  ])("derives the platform from device attribute %i: %s", (attribute, platform) => {
    const pass = { id: "p1", metadata: { installDeviceAttributes: [attribute] } };
    expect(render({ type: PassEventType.SCANNED, pass }).result.platform).toBe(platform);
    const tokenGate = { platform: "other" };
    expect(render({ type: PassEventType.SCANNED, pass, tokenGate }).result.platform).toBe("other");
  });
});
