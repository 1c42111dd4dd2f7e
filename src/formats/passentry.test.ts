/** PassEntry's payloads (seeds 000 and 002) beside the documented one, which is test/golden/passentry.test.ts. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { DeviceAttributes, LifecycleEvents, type MetadataSchema, Status } from "../../gen/io/pass_pb.js";
import { type PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodedEvent, plainOptions } from "../../test/support/events.ts";
import { passentry } from "./passentry.ts";

const { CREATED, INSTALLED, UNINSTALLED, SCANNED } = PassEventType;
const at = (seconds: number, nanos = 0): Timestamp => create(TimestampSchema, { seconds: BigInt(seconds), nanos });
const text = (seconds: number) => `${new Date(seconds * 1_000).toISOString().slice(0, 19)}Z`;

function render(init: MessageInitShape<typeof PassEventSchema>) {
  return JSON.parse(passentry.render(decodedEvent(init), plainOptions).body.toString());
}

function attributes(type: PassEventType, metadata?: MessageInitShape<typeof MetadataSchema>) {
  const pass = metadata === undefined ? { id: "p1" } : { id: "p1", metadata };
  return render({ type, pass, occurredAt: at(1_000) }).included[0].attributes;
}

describe("PASSENTRY", () => {
  it("names each type as the vendor does", () => {
    const names = passentry.types.map((type) => render({ type, pass: { id: "p1" } }).data.attributes.webhookType);
    expect(names).toEqual(["passCreated", "passInstalled", "passRemoved", "passScanned"]);
  });

  it("includes the pass alone where nothing was scanned, whatever the event says of a scan", () => {
    for (const type of [CREATED, INSTALLED, UNINSTALLED]) {
      const { data, included } = render({ type, pass: { id: "p1" }, scan: { id: "s1", reader: { id: "r1" } } });
      expect(data.relationships).toEqual({ pass: { data: { id: "p1", type: "pass" } } });
      expect(included.map((resource: { type: string }) => resource.type)).toEqual(["pass"]);
    }
  });

  it("writes null for each attribute that nobody told, and leaves out the scan that isn't there", () => {
    const { data, included } = render({ type: SCANNED, pass: { id: "p1" } });
    expect(data.relationships).toEqual({ pass: { data: { id: "p1", type: "pass" } } });
    expect(included).toEqual([
      {
        id: "p1",
        type: "pass",
        attributes: {
          downloadUrl: null,
          passType: null,
          deviceType: null,
          createdAt: null,
          status: null,
          extId: null,
          addedAt: null,
          removedAt: null,
          deactivatedAt: null,
          passTemplateUuid: null,
          passTemplateName: null,
          nfc: null,
          passContent: null,
          barcode: null,
        },
      },
    ]);
  });

  it("keeps apart what is empty and what is not told, where the event does", () => {
    const told = render({
      type: SCANNED,
      pass: { id: "p1" },
      details: { nfc: "", content: {}, barcode: { value: "" } },
      scan: { id: "s1", statusDetail: "" },
    });
    expect(told.included[0].attributes.statusDetail).toBe("");
    expect(told.included[1].attributes).toMatchObject({
      nfc: "",
      passContent: {},
      barcode: { enabled: false, type: null, source: null, value: "", displayText: false },
    });
  });

  it("links what it includes, and no reader where there is none", () => {
    const { data, included } = render({ type: SCANNED, pass: { id: "p1" }, scan: { id: "s1", reader: {} } });
    const pass = { data: { id: "p1", type: "pass" } };
    expect(data.relationships).toEqual({ scan: { data: { id: "s1", type: "scan" } }, pass });
    expect(included[0]).toMatchObject({ id: "s1", relationships: { pass } });
    expect(included[0].relationships).toEqual({ pass });
    expect(included).toHaveLength(2);
  });

  it("gives a scan without an id the event's, and a reader without one its name", () => {
    const scan = { reader: { name: "West Gate" } };
    const { data, included } = render({ id: "evt_9", type: SCANNED, pass: { id: "p1" }, scan });
    expect(data.relationships.scan.data.id).toBe("evt_9");
    expect(included.map((resource: { id: string }) => resource.id)).toEqual(["evt_9", "p1", "West Gate"]);
    expect(included[0].relationships.reader.data.id).toBe("West Gate");
  });

  it("cuts times to the second", () => {
    const { data } = render({ type: CREATED, pass: { id: "p1" }, occurredAt: at(1_000, 999_999_999) });
    expect(data.attributes.timeStamp).toBe(text(1_000));
  });

  it("carries the pass's own fields where no content is told", () => {
    const recordData = { "members.member.points": "10" };
    expect(render({ type: CREATED, pass: { id: "p1", recordData } }).included[0].attributes.passContent).toEqual(
      recordData,
    );
  });
});

describe("what the pass says in other words", () => {
  it.each([
    [CREATED, undefined, "issued"],
    [INSTALLED, undefined, "active"],
    [UNINSTALLED, undefined, "removed"],
    [SCANNED, undefined, null],
    [SCANNED, {}, "issued"],
    [SCANNED, { status: Status.PASS_INSTALLED }, "active"],
    [SCANNED, { status: Status.PASS_UNINSTALLED }, "removed"],
    [SCANNED, { status: Status.PASS_INVALIDATED }, "deactivated"],
    [INSTALLED, { status: Status.PASS_INVALIDATED }, "deactivated"],
  ])("type %i, metadata %j: %s", (type, metadata, status) => {
    expect(attributes(type, metadata).status).toBe(status);
  });

  it("reads the times of the metadata, the last ones of their kind", () => {
    const metadata = {
      status: Status.PASS_UNINSTALLED,
      issueAt: at(1),
      firstInstalledAt: at(2),
      lastInstalledAt: at(3),
      firstUninstalledAt: at(4),
      lastUninstalledAt: at(5),
      invalidatedAt: at(6),
    };
    expect(attributes(UNINSTALLED, metadata)).toMatchObject({
      createdAt: text(1),
      addedAt: text(3),
      removedAt: text(5),
      deactivatedAt: text(6),
    });
  });

  it("takes the event's own time for what it is about, where the metadata has none", () => {
    const nothing = { createdAt: null, addedAt: null, removedAt: null, deactivatedAt: null };
    expect(attributes(CREATED)).toMatchObject({ ...nothing, createdAt: text(1_000) });
    expect(attributes(INSTALLED)).toMatchObject({ ...nothing, addedAt: text(1_000) });
    expect(attributes(UNINSTALLED)).toMatchObject({ ...nothing, removedAt: text(1_000) });
    const { included } = render({ type: SCANNED, pass: { id: "p1" }, scan: { id: "s1" }, occurredAt: at(1_000) });
    expect(included[0].attributes.scannedAt).toBe(text(1_000));
  });

  it("forgets a removal once the pass is back", () => {
    const back = { status: Status.PASS_INSTALLED, lastInstalledAt: at(9, 2), lastUninstalledAt: at(9, 1) };
    expect(attributes(INSTALLED, back).removedAt).toBeNull();
    expect(attributes(UNINSTALLED, { ...back, status: Status.PASS_UNINSTALLED }).removedAt).toBe(text(9));
    expect(attributes(INSTALLED, { ...back, lastUninstalledAt: at(9, 2) }).removedAt).toBe(text(9));
  });

  it.each([
    [[DeviceAttributes.Ios, DeviceAttributes.Mobile], [], "iphone"],
    [[DeviceAttributes.UnsupportedIos], [], "iphone"],
    [[DeviceAttributes.Android], [LifecycleEvents.INSTALLED_APPLE], "android"],
    [[DeviceAttributes.WalletPasses], [], "android"],
    [[], [LifecycleEvents.RENDERED, LifecycleEvents.INSTALLED_APPLE], "iphone"],
    [[], [LifecycleEvents.INSTALLED_ANDROID_OTHER], "android"],
    [[], [LifecycleEvents.INSTALLED_APPLE, LifecycleEvents.INSTALLED_GOOGLE], null],
    [[], [LifecycleEvents.APPLE_PASS_CREATED], "iphone"],
    [[], [LifecycleEvents.GOOGLE_PAY_RECORD_CREATED], "android"],
    [[DeviceAttributes.Desktop, DeviceAttributes.OSX], [], null],
  ])("devices %j, life %j: %s", (installDeviceAttributes, lifecycleEvents, deviceType) => {
    expect(attributes(SCANNED, { installDeviceAttributes, lifecycleEvents }).deviceType).toBe(deviceType);
  });
});
