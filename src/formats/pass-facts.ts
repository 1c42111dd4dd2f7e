/**
 * What dialects ask of a pass and `io.Pass` says in other words, so that an event published once renders in each of
 * them: when the pass was made, put into a wallet, taken out and ended, where it is, and in which sort of wallet. What
 * the pass leaves open, the event's own type and time say.
 */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { DeviceAttributes, LifecycleEvents, type Metadata, Status } from "../../gen/io/pass_pb.js";
import { type PassEvent, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";

export interface PassFacts {
  /** Undefined where neither the pass nor the event's type tells. */
  readonly status: Status | undefined;
  readonly createdAt: Timestamp | undefined;
  /** Into a wallet, the last time. */
  readonly addedAt: Timestamp | undefined;
  /** Out of a wallet, the last time; undefined once the pass has been added again. */
  readonly removedAt: Timestamp | undefined;
  /** Expired or revoked. */
  readonly endedAt: Timestamp | undefined;
  readonly scannedAt: Timestamp | undefined;
}

export function passFacts(event: PassEvent): PassFacts {
  const metadata = event.pass?.metadata;
  const atThisEvent = (type: PassEventType) => (event.type === type ? event.occurredAt : undefined);
  const status = statusOf(event.type, metadata);
  const addedAt = metadata?.lastInstalledAt ?? atThisEvent(PassEventType.INSTALLED);
  const removedAt = metadata?.lastUninstalledAt ?? atThisEvent(PassEventType.UNINSTALLED);
  const isBack = status === Status.PASS_INSTALLED && isBefore(removedAt, addedAt);
  return {
    status,
    createdAt: metadata?.issueAt ?? atThisEvent(PassEventType.CREATED),
    addedAt,
    removedAt: isBack ? undefined : removedAt,
    endedAt: metadata?.invalidatedAt ?? atThisEvent(PassEventType.INVALIDATED),
    scannedAt: event.scan?.scannedAt ?? atThisEvent(PassEventType.SCANNED),
  };
}

const STATUS_AFTER: ReadonlyMap<PassEventType, Status> = new Map([
  [PassEventType.CREATED, Status.PASS_ISSUED],
  [PassEventType.INSTALLED, Status.PASS_INSTALLED],
  [PassEventType.UNINSTALLED, Status.PASS_UNINSTALLED],
  [PassEventType.INVALIDATED, Status.PASS_INVALIDATED],
]);

/** PASS_ISSUED is proto3's zero value: metadata that says it may just not say. */
function statusOf(type: PassEventType, metadata: Metadata | undefined): Status | undefined {
  if (metadata !== undefined && metadata.status !== Status.PASS_ISSUED) return metadata.status;
  return STATUS_AFTER.get(type) ?? metadata?.status;
}

function isBefore(left: Timestamp | undefined, right: Timestamp | undefined): boolean {
  if (left === undefined || right === undefined) return false;
  return left.seconds < right.seconds || (left.seconds === right.seconds && left.nanos < right.nanos);
}

export type DeviceFamily = "apple" | "android";

const APPLE_DEVICE = DeviceAttributes.Ios | DeviceAttributes.UnsupportedIos;
const ANDROID_DEVICE = DeviceAttributes.Android | DeviceAttributes.WalletPasses;
const ANDROID_INSTALL = LifecycleEvents.INSTALLED_GOOGLE | LifecycleEvents.INSTALLED_ANDROID_OTHER;

/**
 * The family of the device that has the pass: by what installed it, else by where it was ever installed, else by what
 * it was made for. Undefined where none of these tells, or tells one from the other.
 */
export function deviceFamily(metadata: Metadata | undefined): DeviceFamily | undefined {
  if (metadata === undefined) return undefined;
  const device = bits(metadata.installDeviceAttributes);
  const life = bits(metadata.lifecycleEvents);
  return (
    oneOf(device & APPLE_DEVICE, device & ANDROID_DEVICE) ??
    oneOf(life & LifecycleEvents.INSTALLED_APPLE, life & ANDROID_INSTALL) ??
    oneOf(life & LifecycleEvents.APPLE_PASS_CREATED, life & LifecycleEvents.GOOGLE_PAY_RECORD_CREATED)
  );
}

/** The enums' values are bits (seed 003), listed one by one. */
function bits(values: readonly number[]): number {
  return values.reduce((all, value) => all | value, 0);
}

function oneOf(apple: number, android: number): DeviceFamily | undefined {
  if ((apple === 0) === (android === 0)) return undefined;
  return apple === 0 ? "android" : "apple";
}
