/** What passbus says of itself, with nothing faked: endpoints that fail, and one that is told of it under a signature. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { OperationalEventType as Type } from "../../gen/passbus/v1/operational_event_pb.js";
import { DisabledReason, State } from "../../gen/passbus/v1/subscription_pb.js";
import { deliveriesOf } from "../support/api-log.ts";
import { Deployment } from "../support/distributed.ts";
import { numberedEvent } from "../support/paced-publisher.ts";
import { DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { bodyOf, httpServer } from "../support/receiver.ts";
import { allOf } from "../support/requirements.ts";
import { kafka, kafkaBrokers, mongodb, mongodbUri } from "../support/services/services.ts";
import { eventually } from "../support/within.ts";

/** A worker that was killed is in its Kafka group, and has its leases, for a while. */
const SOON_MS = 90_000;

interface Received {
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** Each call is another process on the same log and store. */
type Start = () => Promise<RunningPassbus>;

const TOLD = "a 410 and a schedule that is used up are told to who asks, signed, across a kill -9";

describe("embedded", () => {
  test(TOLD, async () => {
    using directory = new DataDirectory();
    await failAndTell(() => RunningPassbus.start(directory.path));
  }, 60_000);
});

const services = allOf(kafka, mongodb);

describe.skipIf(!services.present)(services.title("distributed"), () => {
  test(TOLD, async () => {
    await using deployment = await Deployment.make({ brokers: kafkaBrokers(), mongodbUri: mongodbUri() });
    await failAndTell(() => deployment.start("api,worker"));
  }, 180_000);
});

async function failAndTell(start: Start): Promise<void> {
  await using begun = new AsyncDisposableStack();
  const received: Received[] = [];
  let isOpsUp = false;
  const answers: Readonly<Record<string, () => number>> = {
    "/gone": () => 410,
    "/failing": () => 500,
    "/ops": () => (isOpsUp ? 204 : 503),
  };
  const server = begun.use(
    await httpServer(async (request, response) => {
      const body = (await bodyOf(request)).toString();
      const status = answers[request.url ?? ""]?.() ?? 404;
      if (status === 204) received.push({ headers: request.headers as Record<string, string>, body });
      response.writeHead(status).end();
    }),
  );
  const first = begun.use(await start());
  const url = (name: string) => `http://127.0.0.1:${server.port}/${name}`;
  const subscribe = async (draft: Parameters<typeof first.api.subscriptions.createSubscription>[0]["subscription"]) => {
    const { subscription, secret } = await first.api.subscriptions.createSubscription({ subscription: draft ?? {} });
    return { id: subscription?.id ?? "", secret };
  };
  const retrySchedule = [durationFromMs(100)];
  const operationalEvents = [Type.SUBSCRIPTION_DISABLED, Type.DELIVERY_FAILED];
  // Rarely enough that the killed one leaves them waiting, and not under its leases.
  const often = Array.from({ length: 30 }, () => durationFromMs(3_000));
  const ops = await subscribe({ url: url("ops"), operationalEvents, policy: { retrySchedule: often } });
  const gone = await subscribe({ url: url("gone") });
  const failing = await subscribe({ url: url("failing"), policy: { retrySchedule } });
  await first.api.events.publishEvents({ events: [numberedEvent(1, "shop")] });
  const told = (api: RunningPassbus["api"]) => deliveriesOf(api, ops.id);
  await eventually(SOON_MS, "three operational events that wait", async () => {
    const all = await told(first.api);
    const wait = all.filter((one) => one.status === DeliveryStatus.WAITING && one.attemptCount > 0);
    return wait.length === 3 ? true : undefined;
  });
  await first.end("SIGKILL", SOON_MS);
  isOpsUp = true;

  const { api } = begun.use(await start());
  await eventually(SOON_MS, "three webhooks", () => (received.length >= 3 ? true : undefined));
  const webhook = new Webhook(ops.secret);
  const said = received.map(({ headers, body }) => {
    webhook.verify(body, headers);
    const { type, data } = JSON.parse(body);
    const { subscriptionId, reason, statusCode } = data.operationalEvent;
    return `${type} ${reason} ${statusCode ?? ""} ${subscriptionId === gone.id ? "gone" : "failing"}`;
  });
  expect([...new Set(said)].toSorted()).toEqual([
    "delivery.failed http.gone 410 gone",
    "delivery.failed http.status 500 failing",
    "subscription.disabled gone  gone",
  ]);
  expect(new Set(received.map(({ headers }) => headers["webhook-id"])).size).toBe(3);
  // What is told comes first: a kill in between leaves what it is about to come again.
  const disabled = await eventually(SOON_MS, "a disabled subscription", async () => {
    const { subscription } = await api.subscriptions.getSubscription({ id: gone.id });
    return subscription?.state === State.DISABLED ? subscription : undefined;
  });
  expect(disabled.disabledReason).toBe(DisabledReason.GONE);

  const failed = await deliveriesOf(api, failing.id);
  const { events } = await api.events.listEvents({ operationalEventType: Type.DELIVERY_FAILED });
  expect(events.map(({ event }) => event?.operationalEvent?.deliveryId)).toContain(failed[0]?.id);
  expect((await api.events.listEvents({})).events).toHaveLength(4);
}
