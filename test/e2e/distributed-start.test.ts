/** The distributed deployment from nothing: init, a start that says what is missing, roles in processes of their own. */
import { describe, expect, test } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Deployment } from "../support/distributed.ts";
import { subscribe } from "../support/endpoints.ts";
import { ServeProcess } from "../support/passbus.ts";
import { allOf } from "../support/requirements.ts";
import { kafka, kafkaBrokers, mongodb, mongodbUri } from "../support/services/services.ts";
import { Sink } from "../support/sink.ts";
import { within } from "../support/within.ts";

const servers = () => ({ brokers: kafkaBrokers(), mongodbUri: mongodbUri() });

const needed = allOf(kafka, mongodb);

describe.skipIf(!needed.present)(needed.title("the distributed deployment, started"), { timeout: 60_000 }, () => {
  test("an API and a worker in processes of their own: what one accepts, the other delivers", async () => {
    await using deployment = await Deployment.make(servers());
    await using sink = await Sink.start();
    await using api = await deployment.start("api");
    await using worker = await deployment.start("worker");
    await subscribe(api.api, sink, "/a");
    await api.api.events.publishEvents({
      events: [{ id: "evt-1", type: PassEventType.INSTALLED, pass: { id: "p1", classId: "c1" } }],
    });
    const [receipt] = await sink.requests("/a", 1, 10_000);
    expect(receipt?.verifiedBy).toEqual([0]);
    // A worker answers whoever watches over it, and nothing else.
    await expect(worker.api.events.getEvent({ id: "evt-1" })).rejects.toThrow();
    expect((await fetch(`${worker.url}/healthz`)).status).toBe(200);
    expect((await worker.end("SIGTERM")).code).toBe(0);
    expect((await api.end("SIGTERM")).code).toBe(0);
    expect(await deployment.progress()).toEqual({ end: 1, committed: 1 });
  });

  test("init is safe to repeat, and a dry run finds nothing to do after it", async () => {
    await using deployment = await Deployment.make(servers());
    const again = await deployment.command("init");
    const lines = (await deployment.command("init", "--dry-run")).trim().split("\n");
    expect(again).toContain(`there      topic ${deployment.topic}, 6 partitions`);
    expect(lines.filter((line) => !line.startsWith("there "))).toEqual([]);
  });

  test("serve makes nothing silently: it says what is missing, and ends", async () => {
    await using deployment = await Deployment.make(servers());
    const settings = { ...deployment.settings, PASSBUS_KAFKA_DEAD_TOPIC: "passbus-test-nowhere.dead" };
    await deployment.database.collection("deliveries").dropIndex("deliveries_due");
    await using serve = new ServeProcess("/proc/nowhere", settings);
    const exit = await within(20_000, "the end of a start that lacks things", serve.exited);
    expect(exit.code).toBe(1);
    expect(serve.output).toContain("setup.missing");
    expect(serve.output).toContain("missing: topic passbus-test-nowhere.dead");
    expect(serve.output).toContain("missing: index deliveries_due");
    expect(serve.output).toContain("passbus init");
    expect(await deployment.admin.listTopics()).not.toContain("passbus-test-nowhere.dead");
  });

  test("an unreachable store and unreachable brokers end the start with the name, and without the password", async () => {
    await using deployment = await Deployment.make(servers());
    const nowhere = { PASSBUS_MONGODB_URI: "mongodb://someone:hunter2hunter2@127.0.0.1:1/x?replicaSet=rs0" };
    await using noStore = new ServeProcess("/proc/nowhere", { ...deployment.settings, ...nowhere });
    expect((await within(20_000, "the end of a start without a store", noStore.exited)).code).toBe(1);
    expect(noStore.output).toContain("127.0.0.1:1");
    expect(noStore.output).not.toContain("hunter2");
    const sasl = {
      PASSBUS_KAFKA_BROKERS: "127.0.0.1:1",
      PASSBUS_KAFKA_SASL_MECHANISM: "plain",
      PASSBUS_KAFKA_SASL_USERNAME: "someone",
      PASSBUS_KAFKA_SASL_PASSWORD: "hunter2hunter2",
    };
    await using noBrokers = new ServeProcess("/proc/nowhere", { ...deployment.settings, ...sasl });
    expect((await within(20_000, "the end of a start without brokers", noBrokers.exited)).code).toBe(1);
    expect(noBrokers.output).toContain("127.0.0.1:1");
    expect(noBrokers.output).not.toContain("hunter2");
  });
});
