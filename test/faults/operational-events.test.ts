/** Deliveries fail by the hundred while passbus is killed again and again: each failure is told, under one webhook id. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { OperationalEventType as Type } from "../../gen/passbus/v1/operational_event_pb.js";
import { deliveriesOf } from "../support/api-log.ts";
import { printTable } from "../support/figures.ts";
import { numberedEvent, passIdOf } from "../support/paced-publisher.ts";
import { DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { bodyOf, httpServer } from "../support/receiver.ts";
import { eventually } from "../support/within.ts";

const EVENTS = 600;
/** Each second event is refused, both times that it comes, with a 400: that opens no breaker. */
const FAILING = EVENTS / 2;
/** After so many refusals, in the middle of what they lead to. */
const KILL_AFTER = [1, 100, 200, 300, 400, 500];
const LIMIT_MS = 60_000;

test("kill -9 while deliveries fail: none fails untold, and none is told under two ids", async () => {
  await using begun = new AsyncDisposableStack();
  const events = Array.from({ length: EVENTS }, (_, at) => numberedEvent(at, "shop"));
  const refused = new Set(events.flatMap((event, at) => (at % 2 === 0 ? [] : [passIdOf(event)])));
  /** The webhook ids by the delivery that they tell of. */
  const told = new Map<string, Set<string>>();
  let webhooks = 0;
  let refusals = 0;
  const server = begun.use(
    await httpServer(async (request, response) => {
      const { data } = JSON.parse((await bodyOf(request)).toString());
      const isRefused = refused.has(data.pass?.id ?? "");
      response.writeHead(isRefused ? 400 : 204).end();
      if (isRefused) refusals += 1;
      if (request.url !== "/ops") return;
      webhooks += 1;
      const { deliveryId } = data.operationalEvent;
      told.set(deliveryId, (told.get(deliveryId) ?? new Set()).add(String(request.headers["webhook-id"])));
    }),
  );
  const { path } = begun.use(new DataDirectory());
  const start = async () => begun.use(await RunningPassbus.start(path));
  const url = (name: string) => `http://127.0.0.1:${server.port}/${name}`;
  let running = await start();
  const { subscriptions } = running.api;
  const operationalEvents = [Type.DELIVERY_FAILED];
  await subscriptions.createSubscription({ subscription: { url: url("ops"), operationalEvents } });
  const policy = { retrySchedule: [durationFromMs(100)] };
  const { subscription } = await subscriptions.createSubscription({ subscription: { url: url("failing"), policy } });
  const id = subscription?.id ?? "";
  await running.api.events.publishEvents({ events });
  for (const count of KILL_AFTER) {
    await eventually(LIMIT_MS, `${count} refusals`, () => (refusals >= count ? true : undefined));
    await running.end("SIGKILL", LIMIT_MS);
    running = await start();
  }
  const failed = await eventually(LIMIT_MS, "every failure", async () => {
    const all = await deliveriesOf(running.api, id, DeliveryStatus.FAILED);
    return all.length === FAILING ? all : undefined;
  });
  await eventually(LIMIT_MS, "every webhook", () => (told.size >= FAILING ? true : undefined));
  printTable("kill -9 while deliveries fail", [
    ["kills", "failed", "untold", "webhooks", "repeats", "refusals"],
    [KILL_AFTER.length, FAILING, FAILING - told.size, webhooks, webhooks - told.size, refusals],
  ]);
  expect(new Set(told.keys())).toEqual(new Set(failed.map((delivery) => delivery.id)));
  expect([...told.values()].filter((ids) => ids.size !== 1)).toEqual([]);
}, 180_000);
