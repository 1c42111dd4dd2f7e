import type { ActionMethod, CouponEventId, DataType, MembershipEventId } from "../../gen/io/integrations_pb.js";
import type { PassProtocol } from "../../gen/io/pass_pb.js";
import type { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import type { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { Tenant } from "../kernel/tenant.ts";

export type FormatName = "STANDARD" | "PASSKIT" | "PASSENTRY" | "ETHPASS" | "CLOUDEVENTS";

export type DisabledReason = "requested" | "gone" | "failing";

/** A signing secret under a key of the keyring. The text is never kept. */
export interface SealedSecret {
  readonly id: string;
  readonly sealed: string;
  readonly createdAtMs: number;
  /** Absent: it does not expire. */
  readonly expiresAtMs?: number;
}

/** How much of one thing may go in a time: `burst` at once after a rest, and `perSecond` in the long run. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** What an unset field of the API's policy means is filled in before it gets here. */
export interface DeliveryPolicy {
  /** Waits between attempts, before jitter. Its length + 1 is how many attempts a run has. */
  readonly retryScheduleMs: readonly number[];
  readonly attemptTimeoutMs: number;
  readonly maxInFlight: number;
  /** Absent: unlimited. */
  readonly rate?: Rate;
  readonly whileDisabled: "drop" | "hold";
  /** "perPass": an event of a pass leaves only after the one before it is terminal. */
  readonly ordering: "none" | "perPass";
  /** While the endpoint is behind, several UPDATED of one pass become the newest one. */
  readonly conflate: boolean;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** About 75 hours (design, section 5). */
export const DEFAULT_POLICY: DeliveryPolicy = {
  retryScheduleMs: [
    5 * SECOND,
    MINUTE,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
  ],
  attemptTimeoutMs: 15 * SECOND,
  maxInFlight: 64,
  whileDisabled: "drop",
  ordering: "none",
  conflate: false,
};

/** How one entry of a pass's `recordData` is called at the receiver: `io.FieldMapping`. */
export interface FieldMapping {
  readonly destinationFieldKey: string;
  /** Kept and shown; the values of `recordData` are text and stay it. */
  readonly destinationFieldDataType: DataType;
  /** The entry is sent, empty, also where the pass has none. */
  readonly isRequired: boolean;
  readonly sourceFieldUniqueName: string;
}

export interface FormatOptions {
  /** The name of "uninstalled" in PASSKIT: as PassKit's sample has it, or as its enum has it. */
  readonly passkitUninstalledName: "documented" | "enum";
  /** METHOD_NONE: each event's own. */
  readonly passkitMethod: ActionMethod;
  readonly passkitFieldMapping?: FieldMapping;
  /** Absent: structured. */
  readonly cloudeventsMode?: "binary";
  /** The static `authorization` header of ETHPASS under a key of the keyring. The text is never kept, nor shown. */
  readonly sealedEthpassAuthorization?: string;
}

/** What the https connections to one endpoint trust and show, in PEM. */
export interface EndpointTls {
  /** Trusted instead of the public authorities. Absent: those. */
  readonly caCertificates?: string;
  /** The private key stands under a key of the keyring. Its text is never kept, nor shown. */
  readonly client?: { readonly certificates: string; readonly sealedKey: string };
}

/** A time in which a person had it disabled; open while `toMs` is absent. DROP is decided by these (protocol, rule 10). */
export interface DisabledSpan {
  readonly fromMs: number;
  readonly toMs?: number;
}

/** Events of a pass's protocol, beside the types: whoever names one gets the events that carry it, whatever their type. */
export interface ProtocolEvents {
  readonly membershipEvents?: readonly MembershipEventId[];
  readonly couponEvents?: readonly CouponEventId[];
}

/** One endpoint and what it wants to hear. */
export interface Subscription extends ProtocolEvents {
  readonly id: string;
  readonly tenant: Tenant;
  /** Made by `io.Integrations`, whose rules of scope it follows; absent: by passbus.v1. Immutable. */
  readonly origin?: "passkit";
  /** Empty: the organisation. Immutable. */
  readonly entityId: string;
  readonly url: string;
  /** Unique in tenant and scope: the URL in normal form, and for PassKit's, who may share one, `#` and the id behind it. */
  readonly urlKey: string;
  /** Empty: all that the format can say, or none where protocol events or operational ones are named. */
  readonly eventTypes: readonly PassEventType[];
  /** Events of passbus itself. Absent: none. */
  readonly operationalEvents?: readonly OperationalEventType[];
  readonly format: FormatName;
  readonly formatOptions: FormatOptions;
  readonly state: "enabled" | "disabled";
  readonly disabledReason?: DisabledReason;
  readonly disabledSpans: readonly DisabledSpan[];
  readonly description: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly policy: DeliveryPolicy;
  /** 0: any. */
  readonly protocol: PassProtocol;
  /** CEL (docs/filters.md). Absent: everything. */
  readonly filter?: string;
  /** Its webhooks carry v1a signatures too, by the keys of its organisation's environment. */
  readonly ed25519Signature?: true;
  /** Absent: the public authorities are trusted, and nothing is shown. */
  readonly tls?: EndpointTls;
  /** Newest first, at most two live ones. */
  readonly secrets: readonly SealedSecret[];
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Counts up from 1 with every change; a write names the version that it read. */
  readonly version: number;
}

/** Whether both send to one URL, in whatever scopes: PassKit's, who may share one, have their ids behind it. */
export function sameEndpoint(left: Pick<Subscription, "urlKey">, right: Pick<Subscription, "urlKey">): boolean {
  return left.urlKey.split("#", 1)[0] === right.urlKey.split("#", 1)[0];
}

/**
 * Since when it has been disabled; undefined while it is enabled. What passbus disabled by itself opens no span: its
 * last change is taken, which was then or later.
 */
export function disabledSince({
  state,
  disabledSpans,
  updatedAtMs,
}: Pick<Subscription, "state" | "disabledSpans" | "updatedAtMs">): number | undefined {
  if (state === "enabled") return undefined;
  return disabledSpans.findLast(({ toMs }) => toMs === undefined)?.fromMs ?? updatedAtMs;
}

/** The secrets that sign at this moment, newest first. */
export function liveSecrets({ secrets }: Pick<Subscription, "secrets">, nowMs: number): readonly SealedSecret[] {
  return secrets.filter((secret) => secret.expiresAtMs === undefined || secret.expiresAtMs > nowMs);
}
