/** ethpass's documented sample (seed 001), letter for letter up to white space. */
import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { LifecycleEvents, PassSchema, Status } from "../../gen/io/pass_pb.js";
import { PassEventType, TokenGateSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { ethpass } from "../../src/formats/ethpass.ts";
import { decodedEvent, plainOptions } from "../support/events.ts";
import { golden } from "../support/golden.ts";

const expected = golden("ethpass/expired.json");
const id = "2f8210ee-4f02-4966-9529-745d80116718";
const created = at("2022-10-27T21:57:38Z", 520_137_000);
const expired = at("2022-10-27T21:58:03Z", 158_000_000);

function at(second: string, nanos: number): Timestamp {
  return { ...timestampFromDate(new Date(second)), nanos };
}

const gate = create(TokenGateSchema, {
  barcodeSignature:
    "0x02c954980025cfc61a0f78b938173c0eda776103c896f44fc5ba5941933dd9c96891e0fef78f1aecf0eb09ec34d0bd74f2f1627329d6afa88dfadeac8ae049871c",
  ownerAddress: "0xF888f4fAad70F542a80176f8b63438402C937473",
  expireAction: "USER_REVOKE",
  lastScannedAt: at("2022-10-27T21:58:01Z", 822_000_000),
  chain: { name: "evm", network: "1" },
  registrations: [{ id: "07a39167-6484-4ce8-b485-84eb41a5cd5b", createdAt: at("2022-10-27T21:56:30Z", 26_695_000) }],
  nfts: [
    {
      contractAddress: "0x25ed58c027921e14d86380ea2646e3a1b5c55a8b",
      contractInterface: "0x80ac58cd",
      tokenId: "5946",
    },
  ],
});

describe("ethpass's documented webhook", () => {
  it("pass:expire, from an event that says each thing in ethpass's own words", () => {
    const tokenGate = { ...gate, platform: "google", createdAt: created, expiredAt: expired };
    const event = decodedEvent({ type: PassEventType.INVALIDATED, pass: create(PassSchema, { id }), tokenGate });
    const rendered = ethpass.render(event, plainOptions);
    expect(rendered.body.toString()).toBe(expected);
    expect(rendered.method).toBe("POST");
    expect(rendered.headers).toEqual({ "content-type": "application/json" });
  });

  it("pass:expire, where the pass itself says when and for which wallet it was made, and when it ended", () => {
    const metadata = {
      status: Status.PASS_INVALIDATED,
      lifecycleEvents: [LifecycleEvents.INSTALLED_GOOGLE, LifecycleEvents.INVALIDATE_CONFIRMED],
      issueAt: created,
      invalidatedAt: expired,
    };
    const pass = create(PassSchema, { id, metadata });
    const event = decodedEvent({ type: PassEventType.INVALIDATED, pass, tokenGate: gate });
    expect(ethpass.render(event, plainOptions).body.toString()).toBe(expected);
  });
});
