import { timestampMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { sampleEvent } from "../../test/support/samples.ts";
import { decodeStored } from "./decoded-event.ts";

test("an event has its row's id, tenant and entity, and a time", () => {
  const { stored } = sampleEvent("evt_1");
  const { event } = decodeStored(stored);
  expect(event).toMatchObject({ id: "evt_1", organisationId: "acme", environment: "production", entityId: "class-1" });
  expect(event.pass).toMatchObject({ id: "pass-1", classId: "class-1" });
  expect(event.occurredAt && timestampMs(event.occurredAt)).toBe(stored.loggedAtMs);
});

test("without its payload an event is what its row says, and no more is made up", () => {
  const { stored } = sampleEvent("evt_1");
  const { event } = decodeStored({ ...stored, value: new Uint8Array(), payloadDroppedAtMs: 1 });
  expect(event).toMatchObject({ id: "evt_1", type: stored.type, organisationId: "acme", entityId: "class-1" });
  expect(event.pass).toMatchObject({ id: "pass-1", classId: "" });
  expect(event.occurredAt).toBeUndefined();
  const nobody = { ...stored, passId: "", value: new Uint8Array(), payloadDroppedAtMs: 1 };
  expect(decodeStored(nobody).event.pass).toBeUndefined();
});
