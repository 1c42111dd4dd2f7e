import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { DeliverySchema, DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { StoredEventSchema } from "../../../../gen/passbus/v1/event_service_pb.js";
import { storyOf } from "./story.ts";

const event = (id: string, atMs: number) =>
  create(StoredEventSchema, { event: { id }, acceptedAt: timestampFromMs(atMs) });

const delivery = (id: string, createdMs: number, attemptsMs: readonly number[], status: DeliveryStatus, endedMs = 0) =>
  create(DeliverySchema, {
    id,
    status,
    createdAt: timestampFromMs(createdMs),
    attempts: attemptsMs.map((ms) => ({ id: `att_${ms}`, startedAt: timestampFromMs(ms) })),
    attemptCount: attemptsMs.length,
    ...(endedMs > 0 && { finishedAt: timestampFromMs(endedMs) }),
  });

const read = { hasMoreEvents: false, hasMoreDeliveries: false };

it("tells a pass's events and what was sent of them in the order of time, what follows above what it follows from", () => {
  const story = storyOf({
    ...read,
    events: [event("b", 50), event("a", 10)],
    deliveries: [
      delivery("dlv_2", 50, [], DeliveryStatus.WAITING),
      delivery("dlv_1", 10, [10, 60], DeliveryStatus.FAILED, 60),
    ],
  });
  expect(story.map(({ key, atMs }) => [key, atMs])).toEqual([
    ["end dlv_1", 60],
    ["attempt dlv_1 att_60", 60],
    ["delivery dlv_2", 50],
    ["event b", 50],
    ["attempt dlv_1 att_10", 10],
    ["event a", 10],
  ]);
});

it("says a delivery's success once, by its attempt", () => {
  const story = storyOf({
    ...read,
    events: [],
    deliveries: [delivery("dlv_1", 10, [12], DeliveryStatus.DELIVERED, 13)],
  });
  expect(story.map(({ kind }) => kind)).toEqual(["attempt"]);
});

it("goes no further back than both lists were read", () => {
  const events = [event("b", 50), event("a", 10)];
  const deliveries = [delivery("dlv_2", 50, [51], DeliveryStatus.DELIVERED, 52)];
  const keys = (more: Partial<typeof read>) => storyOf({ ...read, ...more, events, deliveries }).map(({ key }) => key);
  expect(keys({ hasMoreDeliveries: true })).not.toContain("event a");
  expect(keys({ hasMoreEvents: true })).toContain("event a");
});

it("numbers attempts by how many there were, the ones no longer kept too", () => {
  const kept = { ...delivery("dlv_1", 1, [2, 30, 40], DeliveryStatus.WAITING), attemptCount: 25 };
  const numbers = storyOf({ ...read, events: [], deliveries: [kept] }).flatMap((moment) =>
    moment.kind === "attempt" ? [moment.number] : [],
  );
  expect(numbers).toEqual([25, 24, 1]);
});
