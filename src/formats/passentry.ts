/**
 * PassEntry's webhooks (seeds 000 and 002): a JSON:API document whose `data` is the webhook, with the pass, the scan and
 * the reader in `included`. Keys stand in the sample's order. An attribute that nobody told is null; a resource that
 * isn't there is absent, and so is the relationship to it. docs/decisions/passentry.md.
 */
import type { JsonObject } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { Status } from "../../gen/io/pass_pb.js";
import {
  type Barcode,
  type PassDetails,
  type PassEvent,
  PassEventType,
  type Reader,
  type Scan,
} from "../../gen/passbus/v1/pass_event_pb.js";
import { nameOf } from "./event-data.ts";
import type { Format } from "./format.ts";
import { deviceFamily, passFacts } from "./pass-facts.ts";
import { dateTime } from "./proto-json.ts";
import { jsonBody } from "./rendered.ts";

/** JSON:API 1.1, "Resource Linkage". */
interface Linkage {
  readonly data: { readonly id: string; readonly type: "pass" | "scan" | "reader" };
}

type Relationships = Readonly<Partial<Record<Linkage["data"]["type"], Linkage>>>;

/** PassEntry has no event for an update, an expiry or a deletion. */
const WEBHOOK_TYPES: ReadonlyMap<PassEventType, string> = new Map([
  [PassEventType.CREATED, "passCreated"],
  [PassEventType.INSTALLED, "passInstalled"],
  [PassEventType.UNINSTALLED, "passRemoved"],
  [PassEventType.SCANNED, "passScanned"],
]);

export const passentry: Format = {
  name: "PASSENTRY",
  types: [...WEBHOOK_TYPES.keys()],
  bodySignatureHeader: "x-webhook-signature",
  renderKey: () => "",
  render({ event }) {
    const webhookType = nameOf(WEBHOOK_TYPES, event.type, "PASSENTRY");
    const scan = event.type === PassEventType.SCANNED ? event.scan : undefined;
    const reader = readerOf(scan);
    const pass = { pass: linkage(event.pass?.id ?? "", "pass") };
    const toReader = reader === undefined ? {} : { reader: linkage(reader.id, "reader") };
    const toScan = scan === undefined ? {} : { scan: linkage(scanId(event, scan), "scan") };
    const document = {
      data: {
        id: event.id,
        type: "webhook",
        attributes: { timeStamp: time(event.occurredAt), webhookType },
        relationships: { ...toScan, ...pass, ...toReader },
      },
      included: [
        ...(scan === undefined ? [] : [scanResource(event, scan, { ...pass, ...toReader })]),
        passResource(event),
        ...(reader === undefined ? [] : [reader]),
      ],
    };
    return jsonBody("POST", JSON.stringify(document));
  },
};

function linkage(id: string, type: Linkage["data"]["type"]): Linkage {
  return { data: { id, type } };
}

/** A resource must have an id (JSON:API 1.1, "Identification"); the event has one scan, so its own id will do. */
function scanId(event: PassEvent, scan: Scan): string {
  return scan.id || event.id;
}

function scanResource(event: PassEvent, scan: Scan, relationships: Relationships): object {
  return {
    id: scanId(event, scan),
    type: "scan",
    attributes: {
      scanType: told(scan.type),
      scanValue: told(scan.value),
      validationType: told(scan.validationType),
      status: told(scan.status),
      statusDetail: scan.statusDetail ?? null,
      scannedAt: time(passFacts(event).scannedAt),
    },
    relationships,
  };
}

/** The statuses of PassEntry's "show pass": issued, active, removed, deactivated. */
const STATUS_NAMES: Readonly<Record<Status, string>> = {
  [Status.PASS_ISSUED]: "issued",
  [Status.PASS_INSTALLED]: "active",
  [Status.PASS_UNINSTALLED]: "removed",
  [Status.PASS_INVALIDATED]: "deactivated",
};

/** Its device types: android, iphone. */
const DEVICE_TYPES = { apple: "iphone", android: "android" } as const;

function passResource(event: PassEvent): object {
  const { pass, details } = event;
  const { status, createdAt, addedAt, removedAt, endedAt } = passFacts(event);
  const family = deviceFamily(pass?.metadata);
  return {
    id: pass?.id ?? "",
    type: "pass",
    attributes: {
      downloadUrl: told(details?.downloadUrl),
      passType: told(details?.passType),
      deviceType: told(details?.deviceType) ?? (family === undefined ? null : DEVICE_TYPES[family]),
      createdAt: time(createdAt),
      status: told(details?.status) ?? (status === undefined ? null : (STATUS_NAMES[status] ?? null)),
      extId: told(pass?.externalId),
      addedAt: time(addedAt),
      removedAt: time(removedAt),
      deactivatedAt: time(endedAt),
      passTemplateUuid: told(details?.templateId),
      passTemplateName: told(details?.templateName),
      nfc: details?.nfc ?? null,
      passContent: passContent(event, details),
      barcode: barcode(details?.barcode),
    },
  };
}

/** PassKit calls the pass's own fields its record data. */
function passContent({ pass }: PassEvent, details: PassDetails | undefined): JsonObject | null {
  if (details?.content !== undefined) return details.content;
  const recordData = pass?.recordData ?? {};
  return Object.keys(recordData).length > 0 ? recordData : null;
}

function barcode(code: Barcode | undefined): object | null {
  if (code === undefined) return null;
  return {
    enabled: code.enabled,
    type: told(code.type),
    source: told(code.source),
    value: code.value ?? null,
    displayText: code.displayText,
  };
}

interface ReaderResource {
  readonly id: string;
  readonly type: "reader";
  readonly attributes: { readonly name: string | null; readonly readerType: string | null };
}

/** Without an id there is only its name to know it by; without either it is no resource. */
function readerOf(scan: Scan | undefined): ReaderResource | undefined {
  const reader: Reader | undefined = scan?.reader;
  if (reader === undefined) return undefined;
  const id = reader.id || reader.name;
  if (id === "") return undefined;
  return { id, type: "reader", attributes: { name: told(reader.name), readerType: told(reader.type) } };
}

/** proto3 knows no difference between "not told" and "empty" of a plain string. */
function told(text: string | undefined): string | null {
  return text === undefined || text === "" ? null : text;
}

/** Whole seconds in UTC, as every time of the sample is. */
function time(at: Timestamp | undefined): string | null {
  return at === undefined ? null : `${dateTime(at)}Z`;
}
