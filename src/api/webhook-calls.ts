/** The two calls of SubscriptionService that make a webhook by themselves: one sends it, the other shows it. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type {
  PreviewPayloadRequest,
  RequestTimingsSchema,
  SubscriptionService,
} from "../../gen/passbus/v1/subscription_service_pb.js";
import type { DeliveryLog } from "../delivery/delivery-store.ts";
import type { SwitchStore } from "../delivery/kill-switch.ts";
import { previewOf } from "../delivery/preview.ts";
import type { RequestPhases } from "../delivery/sender.ts";
import { sendTest, type TestSend, type TestSendDeps } from "../delivery/test-send.ts";
import { decodeStored } from "../domain/decoded-event.ts";
import type { DecodedEvent } from "../domain/event.ts";
import type { Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import { matchExplainer } from "../matching/explain.ts";
import { sampleFor } from "../subscriptions/sample.ts";
import type { SubscriptionService as Subscriptions } from "../subscriptions/subscription-service.ts";
import { attemptMessage } from "./delivery-service.ts";
import type { DirectSlots } from "./direct-slots.ts";
import { notFound, requiredId } from "./fields.ts";
import { principalOf } from "./gate.ts";
import { refuseWhileStopped } from "./switch-calls.ts";

export interface WebhookCallsDeps {
  readonly subscriptions: Pick<Subscriptions, "get" | "draft">;
  readonly deliveryLog: Pick<DeliveryLog, "getEvent">;
  readonly webhooks: TestSendDeps;
  readonly slots: DirectSlots;
  readonly switches: Pick<SwitchStore, "stops">;
}

type Served = "testSubscription" | "previewPayload";

/** The id of a sample that is shown and not sent. */
const SAMPLE_ID = "evt_sample";

export function webhookCalls(deps: WebhookCallsDeps): Pick<ServiceImpl<typeof SubscriptionService>, Served> {
  const { subscriptions, webhooks, slots, switches } = deps;
  const { clock, ids } = webhooks;
  const explain = matchExplainer({ typesOf: (format) => formatOf(format).types });
  return {
    async testSubscription({ id, eventType, operationalEventType }, context) {
      const caller = principalOf(context);
      const subscription = await subscriptions.get(caller.tenant, requiredId(id));
      // An id of its own, and so a webhook-id of its own: receivers skip those that they have handled.
      const { kind, field } = askedKind(eventType, operationalEventType);
      const event = sampleFor(subscription, kind, field, ids.next("evt"), clock.now());
      await refuseWhileStopped(switches, subscription.tenant.organisation);
      const { attempt, request, phases, response } = await slots.run(caller, () =>
        sendTest(webhooks, event, subscription),
      );
      return {
        attempt: attemptMessage(attempt),
        ...(request !== undefined && { request: { ...request, headers: shownHeaders(request.headers) } }),
        ...(phases !== undefined && { timings: timingsOf(phases) }),
        ...(response !== undefined && { response: responseMessage(response) }),
      };
    },

    async previewPayload(request, context) {
      const { tenant } = principalOf(context);
      const { subscription, secret } = await subscriptions.draft(tenant, request.subscription);
      const nowMs = clock.now();
      const event = await previewedEvent(deps, subscription, request, nowMs);
      const { method, url, headers, body } = shown(request, () => previewOf(webhooks, event, subscription, nowMs));
      // A draft is younger than every stored event; that is no reason against any.
      const refusal = explain({ ...subscription, createdAtMs: 0 }, event);
      return {
        method,
        url,
        headers: shownHeaders(headers),
        body,
        signedAt: timestampFromMs(nowMs),
        draftSecret: secret ?? "",
        refusal: refusal?.reason ?? "",
        refusalMessage: refusal?.message ?? "",
      };
    },
  };
}

function responseMessage({ status, headers, excerpt, isCut }: NonNullable<TestSend["response"]>) {
  return { statusCode: status, headers, body: excerpt, truncated: isCut === true };
}

async function previewedEvent(
  { deliveryLog }: WebhookCallsDeps,
  subscription: Subscription,
  { source }: PreviewPayloadRequest,
  nowMs: number,
): Promise<DecodedEvent> {
  if (source.case !== "eventId") {
    const isOperational = source.case === "operationalSample";
    const kind = isOperational
      ? { operationalType: source.value }
      : { type: source.value ?? PassEventType.UNSPECIFIED };
    return sampleFor(subscription, kind, isOperational ? "operational_sample" : "sample", SAMPLE_ID, nowMs);
  }
  const id = requiredId(source.value, "event_id");
  const stored = await deliveryLog.getEvent({ tenant: subscription.tenant, id });
  if (stored === undefined) throw notFound("event", id, "event_id");
  if (stored.payloadDroppedAtMs !== undefined) {
    throw new CodedError("event.payload_dropped", `event_id: the payload of event "${id}" is kept no longer`);
  }
  return decodeStored(stored);
}

/** What a request for a test asks for, and in which field. */
function askedKind(type: PassEventType, operationalType: OperationalEventType) {
  if (operationalType === OperationalEventType.UNSPECIFIED) return { kind: { type }, field: "event_type" };
  if (type === PassEventType.UNSPECIFIED) return { kind: { operationalType }, field: "operational_event_type" };
  throw invalidField("operational_event_type", "stands in place of event_type; leave one of the two unset");
}

/** That a format can't say an event is no fault of passbus here: another event, or another format, was asked for. */
function shown<T>({ source }: PreviewPayloadRequest, render: () => T): T {
  try {
    return render();
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== "format.failed") throw error;
    throw invalidField(source.case === "eventId" ? "event_id" : "sample", error.message);
  }
}

/** A stored authorization is shown never, its name alone. */
function shownHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return "authorization" in headers ? { ...headers, authorization: "" } : { ...headers };
}

function timingsOf(phases: RequestPhases): MessageInitShape<typeof RequestTimingsSchema> {
  const { dnsMs, connectMs, tlsMs, firstByteMs, totalMs } = phases;
  return {
    ...(dnsMs !== undefined && { dns: durationOf(dnsMs) }),
    ...(connectMs !== undefined && { connect: durationOf(connectMs) }),
    ...(tlsMs !== undefined && { tls: durationOf(tlsMs) }),
    ...(firstByteMs !== undefined && { firstByte: durationOf(firstByteMs) }),
    total: durationOf(totalMs),
  };
}

/** Microseconds matter here: a connection over loopback takes few of them. */
function durationOf(ms: number): Duration {
  const micros = Math.round(ms * 1_000);
  return create(DurationSchema, {
    seconds: BigInt(Math.floor(micros / 1_000_000)),
    nanos: (micros % 1_000_000) * 1_000,
  });
}
