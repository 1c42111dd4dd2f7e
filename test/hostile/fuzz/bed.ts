/** A server process with two tenants' things in it: one whose key the calls show, and one that they must not see. */
import { readFileSync } from "node:fs";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { AccessService, Role } from "../../../gen/passbus/v1/access_service_pb.js";
import { type PassEventSchema, PassEventType } from "../../../gen/passbus/v1/pass_event_pb.js";
import { grpcWithKey } from "../../support/grpc.ts";
import { BOOTSTRAP_KEY, DataDirectory, RunningPassbus } from "../../support/passbus.ts";
import { eventually } from "../../support/within.ts";
import { RawCaller } from "./calls.ts";
import type { Fuzzed } from "./rpcs.ts";

export const CANARY = "canary-of-globex";

/** One of each thing that has an id; the canary stands in all that may hold a text. */
async function makeThings(passbus: RunningPassbus, mark: string): Promise<readonly string[]> {
  const { subscriptions, events, deliveries } = passbus.api;
  const { subscription } = await subscriptions.createSubscription({
    subscription: { url: "http://127.0.0.1:1234/", description: mark, labels: { mark } },
  });
  const id = subscription?.id ?? "";
  const event: MessageInitShape<typeof PassEventSchema> = {
    type: PassEventType.INSTALLED,
    pass: { id: "p1", recordData: { mark } },
  };
  const { results } = await events.publishEvents({ events: [event] });
  const eventId = results[0]?.eventId ?? "";
  const [delivery] = await eventually(30_000, "a delivery of the event", async () => {
    const answer = await deliveries.listDeliveries({ eventId });
    return answer.deliveries.length > 0 ? answer.deliveries : undefined;
  });
  return [id, eventId, delivery?.id ?? ""];
}

export class FuzzBed implements AsyncDisposable {
  readonly passbus: RunningPassbus;
  readonly fuzzed: Fuzzed;
  readonly #directory: DataDirectory;
  readonly #caller: RawCaller;

  private constructor(directory: DataDirectory, passbus: RunningPassbus, others: Pick<Fuzzed, "otherKey" | "names">) {
    this.passbus = passbus;
    this.#directory = directory;
    this.#caller = new RawCaller(passbus.url);
    this.fuzzed = { caller: this.#caller, key: BOOTSTRAP_KEY, canary: CANARY, ...others };
  }

  static async start(): Promise<FuzzBed> {
    const directory = new DataDirectory();
    const start = (organisation: string) =>
      RunningPassbus.start(directory.path, {
        PASSBUS_CALLS_PER_SECOND: "0",
        PASSBUS_EVENTS_PER_SECOND: "0",
        PASSBUS_BOOTSTRAP_ORGANISATION: organisation,
      });
    const theirs = await start("globex");
    const names = await makeThings(theirs, CANARY);
    await theirs.end("SIGTERM");
    const others = await start("initech");
    const access = createClient(AccessService, grpcWithKey(others.url, BOOTSTRAP_KEY));
    const { secret: otherKey } = await access.createKey({ key: { role: Role.ADMIN } });
    await others.end("SIGTERM");
    const own = await start("acme");
    const ownNames = await makeThings(own, "acme's");
    return new FuzzBed(directory, own, { otherKey, names: [...names, ...ownNames, "globex", "p1"] });
  }

  /** Resident memory of the process. */
  get rssMib(): number {
    const status = readFileSync(`/proc/${this.passbus.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#caller[Symbol.dispose]();
    await this.passbus[Symbol.asyncDispose]();
    this.#directory[Symbol.dispose]();
  }
}
