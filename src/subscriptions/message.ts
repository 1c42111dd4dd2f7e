/**
 * A subscription as the API shows it: every field that the domain has, and of its secrets and its stored authorization never a text. An update starts
 * from it too, so that what can be read can be written back.
 */
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  CloudEventsMode,
  DisabledReason,
  type EndpointHealth,
  Format,
  Ordering,
  Origin,
  PassKitUninstalledEventName,
  State,
  type Subscription as SubscriptionMessage,
  SubscriptionSchema,
  WhileDisabled,
} from "../../gen/passbus/v1/subscription_pb.js";
import { type EndpointTls, type FormatName, liveSecrets, type Subscription } from "../domain/subscription.ts";
import { rateFields } from "./policy.ts";

/** Each format's number in the API. */
export const FORMAT_NUMBERS: Readonly<Record<FormatName, Format>> = {
  STANDARD: Format.STANDARD,
  PASSKIT: Format.PASSKIT,
  PASSENTRY: Format.PASSENTRY,
  ETHPASS: Format.ETHPASS,
  CLOUDEVENTS: Format.CLOUDEVENTS,
};

/** The format of that number; undefined where it has none, as FORMAT_UNSPECIFIED. */
export function formatName(number: Format): FormatName | undefined {
  const entries = Object.entries(FORMAT_NUMBERS) as readonly (readonly [FormatName, Format])[];
  return entries.find(([, known]) => known === number)?.[0];
}

const STATES = { enabled: State.ENABLED, disabled: State.DISABLED } as const;

const DISABLED_REASONS = {
  requested: DisabledReason.REQUESTED,
  gone: DisabledReason.GONE,
  failing: DisabledReason.FAILING,
} as const;

const WHILE_DISABLED = { drop: WhileDisabled.DROP, hold: WhileDisabled.HOLD } as const;

const UNINSTALLED_NAMES = {
  documented: PassKitUninstalledEventName.DOCUMENTED,
  enum: PassKitUninstalledEventName.ENUM,
} as const;

function tlsFields({ caCertificates = "", client }: EndpointTls) {
  return { caCertificates, clientCertificate: client?.certificates ?? "" };
}

/** `nowMs` decides which secrets are live. Without `health`, nothing is said of the endpoint's. */
export function subscriptionMessage(
  subscription: Subscription,
  nowMs: number,
  health?: EndpointHealth,
): SubscriptionMessage {
  const { policy, formatOptions, disabledReason } = subscription;
  return create(SubscriptionSchema, {
    id: subscription.id,
    entityId: subscription.entityId,
    url: subscription.url,
    eventTypes: [...subscription.eventTypes],
    format: FORMAT_NUMBERS[subscription.format],
    state: STATES[subscription.state],
    description: subscription.description,
    labels: { ...subscription.labels },
    policy: {
      retrySchedule: policy.retryScheduleMs.map((ms) => durationFromMs(ms)),
      attemptTimeout: durationFromMs(policy.attemptTimeoutMs),
      ...rateFields(policy.rate),
      maxInFlight: policy.maxInFlight,
      ordering: policy.ordering === "perPass" ? Ordering.PER_PASS : Ordering.NONE,
      // Absent in a subscription that was stored before there was conflation.
      conflate: policy.conflate === true,
      whileDisabled: WHILE_DISABLED[policy.whileDisabled],
    },
    protocol: subscription.protocol,
    filter: subscription.filter ?? "",
    formatOptions: {
      passkitUninstalledEventName: UNINSTALLED_NAMES[formatOptions.passkitUninstalledName],
      passkitMethod: formatOptions.passkitMethod,
      ...(formatOptions.passkitFieldMapping === undefined
        ? {}
        : { passkitFieldMapping: { ...formatOptions.passkitFieldMapping } }),
      cloudeventsMode: formatOptions.cloudeventsMode === "binary" ? CloudEventsMode.BINARY : CloudEventsMode.STRUCTURED,
    },
    headers: { ...subscription.headers },
    membershipEvents: [...(subscription.membershipEvents ?? [])],
    couponEvents: [...(subscription.couponEvents ?? [])],
    operationalEvents: [...(subscription.operationalEvents ?? [])],
    ed25519Signature: subscription.ed25519Signature === true,
    ...(subscription.tls === undefined ? {} : { tls: tlsFields(subscription.tls) }),
    createdAt: timestampFromMs(subscription.createdAtMs),
    updatedAt: timestampFromMs(subscription.updatedAtMs),
    disabledReason: disabledReason === undefined ? DisabledReason.UNSPECIFIED : DISABLED_REASONS[disabledReason],
    secrets: liveSecrets(subscription, nowMs).map((secret) => ({
      id: secret.id,
      createdAt: timestampFromMs(secret.createdAtMs),
      ...(secret.expiresAtMs === undefined ? {} : { expiresAt: timestampFromMs(secret.expiresAtMs) }),
    })),
    organisationId: subscription.tenant.organisation,
    environment: subscription.tenant.environment,
    version: BigInt(subscription.version),
    ...(health === undefined ? {} : { health }),
    origin: subscription.origin === "passkit" ? Origin.PASSKIT : Origin.PASSBUS,
  });
}
