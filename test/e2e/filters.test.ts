/** Filters, with nothing faked: subscriptions over gRPC, events through the log, webhooks to a receiver in another process. */
import { ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { deliveriesOf } from "../support/api-log.ts";
import { type Embedded, startEmbedded } from "../support/embedded.ts";
import { type Endpoint, subscribe } from "../support/endpoints.ts";
import { numberedEvent, passIdOf } from "../support/paced-publisher.ts";
import type { Clients, RunningPassbus } from "../support/passbus.ts";
import type { Sink } from "../support/sink.ts";
import { eventually } from "../support/within.ts";

const SOON_MS = 30_000;

describe("filters of a running passbus", () => {
  let embedded: Embedded;
  let sink: Sink;
  let passbus: RunningPassbus;
  let api: Clients;
  beforeAll(async () => {
    embedded = await startEmbedded();
    ({ sink, passbus } = embedded);
    api = passbus.api;
  }, 30_000);
  afterAll(() => embedded[Symbol.asyncDispose]());

  const pass = (number: number, entity: string) => passIdOf(numberedEvent(number, entity));
  const publish = (entity: string, ...numbers: readonly number[]) =>
    api.events.publishEvents({ events: numbers.map((number) => numberedEvent(number, entity)) });
  const onlyPass = (number: number, entity: string) => `event.pass.id == "${pass(number, entity)}"`;

  /** The passes of the endpoint's deliveries, once as many were delivered. */
  const delivered = (endpoint: Endpoint, count: number) =>
    eventually(SOON_MS, `${count} deliveries to ${endpoint.path}`, async () => {
      const all = await deliveriesOf(api, endpoint.id);
      const isDone = all.length >= count && all.every(({ status }) => status === DeliveryStatus.DELIVERED);
      return isDone ? all.map(({ passId }) => passId).sort() : undefined;
    });

  test("what a filter stops makes no delivery there, and all others get it", async () => {
    const entityId = "stops";
    const some = await subscribe(api, sink, "/stops/some", { entityId, filter: onlyPass(2, entityId) });
    const all = await subscribe(api, sink, "/stops/all", { entityId });
    await publish(entityId, 1, 2, 3);
    expect(await delivered(all, 3)).toEqual([1, 2, 3].map((number) => pass(number, entityId)).sort());
    expect(await delivered(some, 1)).toEqual([pass(2, entityId)]);
    expect((await sink.receiptsAt("/stops/some")).map(({ passId }) => passId)).toEqual([pass(2, entityId)]);
  });

  test("a changed filter decides about every event that is accepted after the answer", async () => {
    const entityId = "changes";
    const changed = await subscribe(api, sink, "/changes/some", { entityId, filter: onlyPass(0, entityId) });
    const delivers = (number: number) =>
      eventually(SOON_MS, `pass ${number} at ${changed.path}`, async () => {
        const passes = (await deliveriesOf(api, changed.id)).map(({ passId }) => passId);
        return passes.includes(pass(number, entityId)) ? passes : undefined;
      });
    for (let number = 1; number <= 5; number++) {
      await publish(entityId, 100 + number);
      await api.subscriptions.updateSubscription({
        subscription: { id: changed.id, filter: onlyPass(number, entityId) },
      });
      await publish(entityId, number);
      // What is accepted before the next change may meet that change's filter: so it is awaited.
      await delivers(number);
    }
    await api.subscriptions.updateSubscription({
      subscription: { id: changed.id },
      updateMask: { paths: ["filter"] },
    });
    await publish(entityId, 6);
    // The event just before a change may be decided after it. All of the earlier ones were stopped.
    const passes = await delivers(6);
    for (let number = 1; number <= 4; number++) expect(passes).not.toContain(pass(100 + number, entityId));
  });

  test("an event on which a filter fails is delivered, and the log says which filter and where", async () => {
    const entityId = "fails";
    // No sample has just the two entries that these events have, and so none comes to the one that isn't there.
    const filter = `event.pass.recordData.size() != 2 || event.pass.recordData.nothing == "x"`;
    const failing = await subscribe(api, sink, "/fails", { entityId, filter });
    await publish(entityId, 1, 2, 3);
    expect(await delivered(failing, 3)).toHaveLength(3);
    const lines = await eventually(SOON_MS, "a line of the log", () => {
      const found = passbus.logged("delivery.filter_failed");
      return found.length > 0 ? found : undefined;
    });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      level: "warn",
      subscription: failing.id,
      code: "filter.failed",
      line: 1,
      column: 59,
    });
  });

  test("a filter that is none is refused by its field", async () => {
    const refused = await subscribe(api, sink, "/refused", { filter: `event.type == "INSTALED"` }).catch(
      (error: unknown) => ConnectError.from(error),
    );
    expect(refused).toMatchObject({
      rawMessage: expect.stringMatching(/^subscription.filter: at line 1, column 12: "INSTALED" is no PassEventType/),
    });
  });
});
