import RequestQueue from "kafkajs/src/network/requestQueue/index.js";
import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { mendIdleLoop } from "./idle.ts";

beforeAll(mendIdleLoop);
beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

function newQueue(): RequestQueue {
  const logger = { ...quiet, namespace: () => quiet };
  return new RequestQueue({ maxInFlightRequests: 1, requestTimeout: 1_000, clientId: "c", broker: "b", logger });
}

function request(correlationId: number, sent: number[]) {
  return {
    entry: { correlationId, resolve() {}, reject() {} },
    expectResponse: true,
    sendRequest: () => sent.push(correlationId),
  };
}

test("a connection without requests that wait sets no timer", () => {
  const queue = newQueue();
  const sent: number[] = [];
  queue.push(request(1, sent));
  queue.fulfillRequest({ correlationId: 1, payload: null, size: 0 });
  expect(sent).toEqual([1]);
  expect(vi.getTimerCount()).toBe(0);
});

test("a request that waits for another goes when that is answered", () => {
  const queue = newQueue();
  const sent: number[] = [];
  queue.push(request(1, sent));
  queue.push(request(2, sent));
  expect(sent).toEqual([1]);
  queue.fulfillRequest({ correlationId: 1, payload: null, size: 0 });
  expect(sent).toEqual([1, 2]);
});

test("a request that the broker's throttling holds back goes when it is over, without anything else happening", () => {
  const queue = newQueue();
  const sent: number[] = [];
  queue.maybeThrottle(200);
  queue.push(request(1, sent));
  vi.advanceTimersByTime(199);
  expect(sent).toEqual([]);
  vi.advanceTimersByTime(20);
  expect(sent).toEqual([1]);
  vi.advanceTimersByTime(60_000);
  expect(vi.getTimerCount()).toBe(0);
});
