/**
 * What parallel creates may come to, through the rules and the store as they run: one subscription a URL and scope, and
 * no more than the scope may have. Two connections race, as two processes do. The long form (PASSBUS_TEST_LONG=true)
 * runs 1,000 rounds of each.
 */
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
import { networkSet } from "../../src/kernel/addresses.ts";
import { systemClock } from "../../src/kernel/clock.ts";
import { CodedError } from "../../src/kernel/errors.ts";
import { idSource } from "../../src/kernel/ids.ts";
import { systemRandom } from "../../src/kernel/random.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import { checkUrl } from "../../src/kernel/url.ts";
import { keyringFrom, makeEncryptionKey } from "../../src/signing/keyring.ts";
import { SubscriptionService } from "../../src/subscriptions/subscription-service.ts";
import type { MakeStore, StorePorts, StoreUnderTest } from "./rows.ts";

const ROUNDS = process.env.PASSBUS_TEST_LONG === "true" ? 1_000 : 3;
const CREATES = 50;
const TIMEOUT_MS = 30_000 + ROUNDS * 1_500;

const keyring = keyringFrom(makeEncryptionKey("k1", systemRandom), systemRandom);

function rules({ subscriptions, limits, endpoints }: StorePorts): SubscriptionService {
  return new SubscriptionService({
    store: subscriptions,
    limits,
    health: endpoints,
    keyring,
    signsEd25519: false,
    checkEndpoint: async (url) => {
      const check = checkUrl(url, { allowHttp: false, allowedNetworks: networkSet([]) });
      if (!check.ok) throw check.error;
      return check.url;
    },
    clock: systemClock,
    ids: idSource(systemClock, systemRandom),
    random: systemRandom,
  });
}

/** The ways of writing one URL that a normal form has to see through. */
const SPELLINGS = [
  "https://a.example/hook",
  "https://A.EXAMPLE/hook",
  "https://a.example:443/hook",
  "HTTPS://a.example/./hook",
  "https://a.example/hook?",
  "https://a.example/%68ook",
  "https://a.example/h%6Fo%6b",
];

export function subscriptionRacesContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  let services: readonly [SubscriptionService, SubscriptionService];
  beforeEach(async () => {
    store = await make();
    services = [rules(store), rules(await store.connect())];
  });
  afterEach(() => store.close());

  /** How many of the creates came to each end. */
  async function race(tenant: Tenant, entityId: string, urlOf: (at: number) => string) {
    const ends = await Promise.all(
      Array.from({ length: CREATES }, (_, at) => {
        const draft = create(SubscriptionSchema, { url: urlOf(at), entityId });
        return services[at % 2 === 0 ? 0 : 1].create(tenant, draft).then(
          () => "created",
          (error: unknown) => (error instanceof CodedError ? error.code : String(error)),
        );
      }),
    );
    const count = (end: string) => ends.filter((each) => each === end).length;
    return {
      created: count("created"),
      duplicate: count("subscription.duplicate_url"),
      full: count("limit.subscriptions"),
    };
  }

  const tenantOf = (round: number): Tenant => ({ organisation: `race-${round}`, environment: "production" });
  const scopes = ["", "shop"];

  describe(`${name}: ${ROUNDS} rounds of ${CREATES} parallel creates`, { timeout: TIMEOUT_MS }, () => {
    // "Cannot create multiple webhook subscriptions with the same target URL within the same scope" (seed 000).
    test("of one URL, however it is written, one is made", async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const entityId = scopes[round % 2] ?? "";
        const came = await race(tenantOf(round), entityId, (at) => SPELLINGS[at % SPELLINGS.length] ?? "");
        expect(came, `round ${round}`).toEqual({ created: 1, duplicate: CREATES - 1, full: 0 });
        expect((await store.feed.load(tenantOf(round))).subscriptions).toHaveLength(1);
      }
    });

    // "10 organisation-level and 10 per entity subscriptions" is the default limit (seed 000).
    test("of different URLs, as many are made as the organisation was given", async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const tenant = tenantOf(round);
        const limit = 1 + (round % 20);
        await store.limits.setLimits(tenant.organisation, { organisation: limit, entity: limit });
        const came = await race(tenant, scopes[round % 2] ?? "", (at) => `https://a.example/${at}`);
        expect(came, `round ${round}`).toEqual({ created: limit, duplicate: 0, full: CREATES - limit });
        expect((await store.feed.load(tenant)).subscriptions).toHaveLength(limit);
      }
    });
  });

  describe(`${name}: limits`, () => {
    test("are what was set last, for their organisation alone, and after a restart too", async () => {
      expect(await store.limits.limits("acme")).toEqual({});
      await store.limits.setLimits("acme", { organisation: 3, entity: 4 });
      const other = await store.connect();
      expect(await other.limits.limits("acme")).toEqual({ organisation: 3, entity: 4 });
      expect(await store.limits.limits("globex")).toEqual({});
      await other.limits.setLimits("acme", { entity: 5 });
      expect(await store.limits.limits("acme")).toEqual({ entity: 5 });
      const again = await store.reopen();
      expect(await again.limits.limits("acme")).toEqual({ entity: 5 });
      await again.limits.setLimits("acme", {});
      expect(await again.limits.limits("acme")).toEqual({});
    });

    test("of two who write other fields after the same read, neither undoes the other", async () => {
      const other = await store.connect();
      for (const [organisation, before] of [
        ["kept", { entity: 4, callsPerSecond: 900, eventsPerSecond: 9 }],
        ["new"],
      ] as const) {
        if (before !== undefined) await store.limits.setLimits(organisation, before);
        const read = await other.limits.limits(organisation);
        await store.limits.setLimits(organisation, { ...read, callsPerSecond: 1 }, ["callsPerSecond"]);
        await other.limits.setLimits(organisation, { ...read, entity: 5 }, ["entity", "organisation"]);
        expect(await store.limits.limits(organisation)).toEqual({ ...before, callsPerSecond: 1, entity: 5 });
        await Promise.all([
          store.limits.setLimits(organisation, {}, ["callsPerSecond", "eventsPerSecond"]),
          other.limits.setLimits(organisation, { entity: 6, payloadRetentionMs: 3_600_000 }, ["payloadRetentionMs"]),
        ]);
        expect(await store.limits.limits(organisation)).toEqual({ entity: 5, payloadRetentionMs: 3_600_000 });
      }
      await other.limits.setLimits("newer", { entity: 5 }, ["organisation"]);
      expect(await store.limits.limits("newer")).toEqual({});
    });
  });
}
