/** A worker's claims alone, in a process of its own: takes due deliveries from a MongoDB until none is due. */
import { connectMongo, type MongoStore } from "../src/adapters/mongodb/mongodb.ts";
import { serveBench, sharedNowMs } from "./process-call.ts";

export interface Claimed {
  readonly ids: readonly string[];
  readonly claims: number;
  /** Claims that found nothing although something was due: another had been quicker. */
  readonly emptyHanded: number;
  readonly lastMs: number;
}

export interface ClaimerCalls {
  connect(target: { readonly uri: string }): Promise<void>;
  /** Until `total` rows were taken by all, as far as this one can see: until nothing is due. */
  takeAll(): Promise<Claimed>;
}

const LEASE_MS = 60_000;
/** As many as an idle worker asks for. */
const LIMIT = 512;
const SLOTS = 32;

let store: MongoStore | undefined;

async function takeAll(): Promise<Claimed> {
  if (store === undefined) throw new Error("connect comes first");
  const ids: string[] = [];
  let claims = 0;
  let emptyHanded = 0;
  let lastMs = sharedNowMs();
  for (;;) {
    const nowMs = Date.now();
    const { claimed, nextDueAtMs } = await store.deliveries.claim({
      nowMs,
      leaseMs: LEASE_MS,
      limit: LIMIT,
      slots: new Map(),
      defaultSlots: SLOTS,
      stopped: [],
    });
    claims += 1;
    if (claimed.length === 0) {
      if (nextDueAtMs === undefined || nextDueAtMs > nowMs) return { ids, claims, emptyHanded, lastMs };
      emptyHanded += 1;
      continue;
    }
    lastMs = sharedNowMs();
    for (const { delivery } of claimed) ids.push(delivery.id);
  }
}

serveBench<ClaimerCalls>(
  {
    async connect({ uri }) {
      store = await connectMongo({ uri });
    },
    takeAll,
  },
  () => store?.close(),
);
