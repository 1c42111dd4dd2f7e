/** The request bin of the canary's run: full of canaries, until a pass is forgotten. */
import type { Client } from "@connectrpc/connect";
import { expect } from "vitest";
import type { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { type BinRequest, type InspectorService, SignatureVerdict } from "../../gen/passbus/v1/inspector_service_pb.js";
import type { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { type Canaries, canary, canaryEvent } from "./canary.ts";
import { eventually } from "./within.ts";

const SOON_MS = 60_000;

interface Clients {
  readonly events: Client<typeof EventService>;
  readonly inspector: Client<typeof InspectorService>;
  readonly subscriptions: Client<typeof SubscriptionService>;
}

interface Store {
  /** Whether nothing is left in the log that was not recorded. */
  isRecorded(): Promise<boolean>;
  /** By the name of the table or collection. */
  contents(): Promise<ReadonlyMap<string, string>>;
}

export class CanaryBin {
  readonly #clients: Clients;
  readonly #canaries: Canaries;
  readonly #binId: string;

  private constructor(clients: Clients, canaries: Canaries, binId: string) {
    this.#clients = clients;
    this.#canaries = canaries;
    this.#binId = binId;
  }

  /** With a test send, and with what anybody may send; webhooks follow. */
  static async fill(clients: Clients, canaries: Canaries): Promise<CanaryBin> {
    const { inspector, subscriptions } = clients;
    const { bin } = await inspector.createBin({ description: "for the canary" });
    const { id = "", url = "" } = bin ?? {};
    const headers = { "x-api-token": canary("bin-header") };
    const made = await subscriptions.createSubscription({
      // The organisation has as many of its own as it may.
      subscription: { url: `${url}/${canary("bin-path")}`, headers, entityId: "class-1" },
    });
    canaries.add(made.secret);
    await subscriptions.testSubscription({ id: made.subscription?.id ?? "" });
    const sent = { authorization: canary("bin-authorization"), cookie: canary("bin-cookie") };
    const forged = { "webhook-id": canary("bin-id"), "webhook-signature": `v1,${canary("bin-signature")}` };
    for (const more of [{}, { ...forged, "webhook-timestamp": "1" }]) {
      const given = { method: "POST", headers: { ...sent, ...more }, body: canary("bin-body") };
      expect((await fetch(`${url}/?token=${canary("bin-query")}`, given)).status).toBe(200);
    }
    return new CanaryBin(clients, canaries, id);
  }

  /** A pass whose id is a canary reaches the bin and is erased. Then its id is nowhere, or the run's search finds it. */
  async forgetPass(store: Store): Promise<void> {
    const { events, inspector } = this.#clients;
    const requests = async () => (await inspector.listBinRequests({ binId: this.#binId, pageSize: 500 })).requests;
    const passId = canary("forgotten-pass");
    await events.publishEvents({ events: [canaryEvent("evt-forgotten", passId)] });
    const arrived = await eventually(SOON_MS, "the pass's webhook in the bin", async () => {
      const found = await requests();
      return found.some((request) => textOf(request).includes(passId)) ? found : undefined;
    });
    for (const part of ["pass-personDetails", "bin-header", "bin-body", "bin-authorization", "bin-path", "bin-query"]) {
      expect(arrived.filter((request) => textOf(request).includes(part)).length, part).toBeGreaterThan(0);
    }
    const verdicts = new Set(arrived.map(({ verdict }) => verdict));
    expect(verdicts).toEqual(new Set([SignatureVerdict.VALID, SignatureVerdict.INVALID, SignatureVerdict.UNKNOWN]));
    const kept = [...(await store.contents())].filter(([where]) => /^bin/.test(where));
    expect(kept.map(([where, text]) => [where, text.length > 1])).toEqual(kept.map(([where]) => [where, true]));
    expect(kept).toHaveLength(2);
    expect(kept.flatMap(([where, text]) => this.#canaries.foundIn(where, text))).toEqual([]);
    await this.#conflict(passId);
    // It may be delivered before it is stored; what the log hasn't let go of yet goes when it is erased again.
    await eventually(SOON_MS, "a log without a backlog", async () => ((await store.isRecorded()) ? true : undefined));
    expect(await events.erasePass({ passId })).toMatchObject({ events: 1n, deadLetters: 1n, done: true });
    expect(await requests()).toEqual([]);
  }

  /** The pass is in a dead letter too, which is looked for also where it is encrypted. */
  async #conflict(passId: string): Promise<void> {
    const { events } = this.#clients;
    const letters = async () => (await events.listDeadLetters({ pageSize: 500 })).deadLetters.length;
    const before = await letters();
    const other = canaryEvent("evt-forgotten", passId);
    if (other.pass !== undefined) other.pass.externalId = canary("conflict-of-the-forgotten");
    await events.publishEvents({ events: [other] });
    await eventually(SOON_MS, "its dead letter", async () => ((await letters()) > before ? true : undefined));
  }
}

function textOf({ body, headers, path }: BinRequest): string {
  return `${Buffer.from(body).toString("latin1")} ${JSON.stringify(headers)} ${path}`;
}
