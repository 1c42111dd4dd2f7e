/**
 * Request bins: endpoints of our own that show what arrives (issue: seeds 001 and 003 send people to one). A bin belongs
 * to a tenant; its URL, which has 128 random bits in it, takes any request of anyone. What arrives is judged against the
 * tenant's subscriptions that point to the bin, and kept encrypted until the bin expires.
 *
 *   over the network   api/bin-requests.ts ─┐
 *   from our workers   bin-sender.ts ───────┴─▶ take ─▶ judged, sealed ─▶ BinStore ─▶ watch, requests
 */
import type { Subscription } from "../domain/subscription.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import type { IdSource } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Page, PageRequest } from "../kernel/page.ts";
import type { Random } from "../kernel/random.ts";
import { SIGN_OF_LIFE_MS } from "../kernel/sign-of-life.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { Bin, BinStore, KeptRequest } from "./bin-store.ts";
import { type JudgeDeps, judgeSignatures, type SignatureCheck, type Verdict } from "./signature-check.ts";

/** A request as it arrived. */
export interface Arrived {
  readonly method: string;
  /** Names in lower case; several values joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** What follows the bin's URL, with the query. */
  readonly path: string;
  /** It came from our own workers, and not over the network. */
  readonly fromPassbus: boolean;
}

/** The same, as it is shown. */
export interface BinRequest extends Arrived {
  readonly id: string;
  readonly receivedAtMs: number;
  readonly statusCode: number;
  readonly verdict: Verdict;
  readonly verdictReason: string;
  readonly checks: readonly SignatureCheck[];
}

export interface BinAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface BinsDeps extends JudgeDeps {
  readonly store: BinStore;
  /** The tenant's subscriptions, as they are stored; `versions` tells when they have changed. */
  readonly feed: {
    versions(tenants: readonly Tenant[]): Promise<readonly number[]>;
    load(tenant: Tenant): Promise<{ readonly version: number; readonly subscriptions: readonly Subscription[] }>;
  };
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly random: Random;
  /** How long a bin lives, and may live at most. */
  readonly lifetimeMs: number;
  /** Without a slash at the end. Asked whenever it is needed: a port that was free has a number only when it is open. */
  readonly publicUrl: () => string;
}

const KEEP = { requests: LIMITS.binRequests, characters: LIMITS.binCharacters } as const;
const MIN_LIFETIME_MS = 60_000;
const DESCRIPTION_CHARACTERS = 200;
const BIN_ID = /^bin_[0-9a-f]{32}$/;
/** Between two looks of a watch. */
const LOOK_MS = 250;
/** A request may become visible so much later than one that came after it: workers' clocks differ. */
const OVERLAP_MS = 5_000;
/** Between two looks of a watch whether its bin is still there. */
const CHECK_BIN_MS = 2_000;
/** Bins and organisations whose rate is remembered, and tenants whose subscriptions are: the oldest are forgotten. */
const REMEMBERED = 1_000;

type TenantsSubscriptions = Awaited<ReturnType<BinsDeps["feed"]["load"]>>;

/** What may still be taken at once, as of then. */
interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

const BIN_RATE: Rate = { perSecond: LIMITS.binRequestsPerSecond, burst: LIMITS.binBurst };
const ORGANISATION_RATE: Rate = {
  perSecond: LIMITS.organisationBinRequestsPerSecond,
  burst: LIMITS.organisationBinBurst,
};

export class Bins {
  readonly #deps: BinsDeps;
  readonly #binBuckets = new Map<string, Bucket>();
  readonly #organisationBuckets = new Map<string, Bucket>();
  readonly #subscriptions = new Map<string, TenantsSubscriptions>();

  constructor(deps: BinsDeps) {
    this.#deps = deps;
  }

  urlOf(id: string): string {
    return `${this.#deps.publicUrl()}/bins/${id}`;
  }

  /** The bin that a URL leads to; undefined where it is none of ours. */
  targetOf(url: string): { readonly id: string; readonly path: string } | undefined {
    const prefix = `${this.#deps.publicUrl()}/bins/`;
    const target = url.startsWith(prefix) ? binPath(url.slice(prefix.length)) : undefined;
    return target !== undefined && BIN_ID.test(target.id) ? target : undefined;
  }

  /** `request.invalid`, `limit.bins`. `statusCode` 0 is 200; `lifetimeMs` undefined is the longest. */
  async create(
    tenant: Tenant,
    asked: { readonly statusCode: number; readonly lifetimeMs: number | undefined; readonly description: string },
  ): Promise<Bin> {
    const { store, clock, random } = this.#deps;
    const nowMs = clock.now();
    const bin = {
      tenant,
      id: `bin_${Buffer.from(random.bytes(16)).toString("hex")}`,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + this.#readLifetime(asked.lifetimeMs),
      statusCode: readStatus(asked.statusCode),
      description: readDescription(asked.description),
    };
    if ((await store.insertBin(bin, LIMITS.bins, nowMs)) === "inserted") return bin;
    throw new CodedError("limit.bins", `the organisation has ${LIMITS.bins} bins, as many as it may; delete one`);
  }

  /** `resource.not_found`, also where it has expired. */
  async get(tenant: Tenant, id: string): Promise<Bin> {
    const found = BIN_ID.test(id) ? await this.#deps.store.findBin(id) : undefined;
    const isTheirs = found !== undefined && tenantKey(found.tenant) === tenantKey(tenant);
    if (!isTheirs || found.expiresAtMs <= this.#deps.clock.now()) throw unknownBin(id);
    return found;
  }

  list(tenant: Tenant, page: PageRequest): Promise<Page<Bin>> {
    return this.#deps.store.listBins(tenant, this.#deps.clock.now(), page);
  }

  /** `resource.not_found`. */
  async delete(tenant: Tenant, id: string): Promise<void> {
    if (!(await this.#deps.store.removeBin(tenant, id))) throw unknownBin(id);
  }

  /** Newest first. `resource.not_found`. */
  async requests(tenant: Tenant, id: string, page: PageRequest): Promise<Page<BinRequest>> {
    const bin = await this.get(tenant, id);
    const { items, next } = await this.#deps.store.listRequests(tenant, id, page);
    const opened = items.map((kept) => this.#open(bin, kept));
    return next === undefined ? { items: opened } : { items: opened, next };
  }

  /**
   * What arrives from now on, or after the request named; undefined at first, and as a sign of life. Ends with the signal.
   * `resource.not_found`, also when the bin is gone later.
   */
  async *watch(tenant: Tenant, id: string, after: string, signal: AbortSignal): AsyncGenerator<BinRequest | undefined> {
    const { store, clock } = this.#deps;
    const bin = await this.get(tenant, id);
    const afterMs = timeOf(after);
    let fromMs = (afterMs ?? clock.now()) - OVERLAP_MS;
    let seen = new Set((await store.arrivals(tenant, id, fromMs)).filter((each) => after === "" || each <= after));
    let toldMs = clock.monotonic();
    let checkedMs = toldMs;
    yield undefined;
    while (!signal.aborted) {
      const ids = await store.arrivals(tenant, id, fromMs);
      const fresh = ids.filter((each) => !seen.has(each));
      const kept = fresh.length === 0 ? [] : await store.readRequests(tenant, id, fresh);
      for (const each of kept) yield this.#open(bin, each);
      seen = new Set(ids);
      const newest = kept.at(-1)?.receivedAtMs;
      if (newest !== undefined) fromMs = Math.max(fromMs, newest - OVERLAP_MS);
      const nowMs = clock.monotonic();
      if (kept.length > 0) toldMs = nowMs;
      if (nowMs - toldMs >= SIGN_OF_LIFE_MS) {
        toldMs = nowMs;
        yield undefined;
      }
      if (nowMs - checkedMs >= CHECK_BIN_MS) {
        checkedMs = nowMs;
        await this.get(tenant, id);
      }
      await sleep(clock, LOOK_MS, signal);
    }
  }

  /** Takes a request that is there already; the rest as `receive`. */
  take(id: string, arrived: Arrived): Promise<BinAnswer> {
    return this.receive(id, async () => arrived);
  }

  /**
   * Takes a request, whoever sent it; it is read only where there is such a bin and it may take one more. 410 where there
   * is none, so that a subscription which points to one that is gone is disabled; 413 and 429 at the limits. Rejects where
   * the store or `read` does.
   */
  async receive(id: string, read: () => Promise<Arrived>): Promise<BinAnswer> {
    const found = await this.#alive(id);
    if (found === undefined) return GONE;
    const flood = this.#floodOf(found);
    if (flood !== undefined) return { ...answer(429, flood), headers: { ...JSON_TYPE, "retry-after": "1" } };
    const arrived = await read();
    if (arrived.body.length > LIMITS.binBodyBytes) {
      return answer(413, `a bin takes bodies of up to ${LIMITS.binBodyBytes} bytes`);
    }
    return this.#keep(id, arrived);
  }

  /** Looks for the bin again: one that was deleted while the body came keeps nothing. */
  async #keep(id: string, arrived: Arrived): Promise<BinAnswer> {
    const { store, clock, ids } = this.#deps;
    const nowMs = clock.now();
    const bin = await this.#alive(id);
    if (bin === undefined) return GONE;
    const pointing = (await this.#subscriptionsOf(bin.tenant)).filter(({ url }) => this.targetOf(url)?.id === id);
    const { verdict, reason, checks } = judgeSignatures(this.#deps, arrived, pointing, nowMs);
    const request = {
      id: ids.next("brq"),
      receivedAtMs: nowMs,
      ...arrived,
      statusCode: bin.statusCode,
      ...{ verdict, verdictReason: reason, checks },
    };
    await store.putRequest(bin, this.#seal(bin, request), KEEP);
    return bin.statusCode < 300 ? answer(bin.statusCode) : answer(bin.statusCode, "the bin was asked to answer so");
  }

  async #alive(id: string): Promise<Bin | undefined> {
    const { store, clock } = this.#deps;
    const bin = BIN_ID.test(id) ? await store.findBin(id) : undefined;
    return bin === undefined || bin.expiresAtMs <= clock.now() ? undefined : bin;
  }

  #readLifetime(asked: number | undefined): number {
    const { lifetimeMs } = this.#deps;
    if (asked === undefined) return lifetimeMs;
    if (asked >= Math.min(MIN_LIFETIME_MS, lifetimeMs) && asked <= lifetimeMs) return asked;
    throw new CodedError("request.invalid", `lifetime: must be 1 minute to ${lifetimeMs / 1_000} s`);
  }

  async #subscriptionsOf(tenant: Tenant): Promise<readonly Subscription[]> {
    const { feed } = this.#deps;
    const key = tenantKey(tenant);
    const known = this.#subscriptions.get(key);
    const [version] = await feed.versions([tenant]);
    if (known !== undefined && known.version === version) return known.subscriptions;
    const loaded = await feed.load(tenant);
    // Of thousands of subscriptions few point to a bin.
    const pointing = loaded.subscriptions.filter(({ url }) => this.targetOf(url) !== undefined);
    remember(this.#subscriptions, key, { version: loaded.version, subscriptions: pointing });
    return pointing;
  }

  /** What there is too much of; undefined where one more may come. */
  #floodOf({ id, tenant: { organisation } }: Bin): string | undefined {
    if (!this.#takeToken(this.#binBuckets, id, BIN_RATE)) {
      return `a bin takes ${BIN_RATE.perSecond} requests a second`;
    }
    if (this.#takeToken(this.#organisationBuckets, organisation, ORGANISATION_RATE)) return undefined;
    return `the bins of an organisation take ${ORGANISATION_RATE.perSecond} requests a second`;
  }

  #takeToken(buckets: Map<string, Bucket>, key: string, { perSecond, burst }: Rate): boolean {
    const nowMs = this.#deps.clock.monotonic();
    const bucket = buckets.get(key) ?? { tokens: burst, atMs: nowMs };
    const tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1_000) * perSecond);
    remember(buckets, key, { tokens: tokens < 1 ? tokens : tokens - 1, atMs: nowMs });
    return tokens >= 1;
  }

  #seal(bin: Bin, { id, receivedAtMs, body, ...rest }: BinRequest): KeptRequest {
    const text = JSON.stringify({ ...rest, body: Buffer.from(body).toString("base64") });
    return { id, receivedAtMs, sealed: this.#deps.keyring.seal(text, associatedData(bin, id)) };
  }

  #open(bin: Bin, { id, receivedAtMs, sealed }: KeptRequest): BinRequest {
    const { body, ...rest } = JSON.parse(this.#deps.keyring.open(sealed, associatedData(bin, id)));
    return { ...rest, id, receivedAtMs, body: Buffer.from(body, "base64") };
  }
}

/** As the newest; the oldest gives way. */
function remember<T>(all: Map<string, T>, key: string, value: T): void {
  all.delete(key);
  const [oldest] = all.keys();
  if (all.size >= REMEMBERED && oldest !== undefined) all.delete(oldest);
  all.set(key, value);
}

/** What stands behind `/bins/`, as the bin's id and the rest. */
export function binPath(text: string): { readonly id: string; readonly path: string } {
  const [, id = "", path = ""] = /^([^/?#]*)(.*)$/s.exec(text) ?? [];
  return { id, path };
}

const JSON_TYPE = { "content-type": "application/json" } as const;

function answer(status: number, error?: string): BinAnswer {
  const body = error === undefined ? { status: "ok" } : { error };
  return { status, headers: JSON_TYPE, body: JSON.stringify(body) };
}

const GONE = answer(410, "there is no such bin, or it has expired");

function unknownBin(id: string): CodedError {
  return new CodedError("resource.not_found", `bin_id: there is no bin "${id.slice(0, LIMITS.idCharacters)}"`);
}

function readStatus(status: number): number {
  if (status === 0) return 200;
  const isAnswer = (status >= 200 && status < 300) || (status >= 400 && status < 600);
  if (isAnswer) return status;
  throw new CodedError("request.invalid", "status_code: must be 200 to 299 or 400 to 599, or 0 for 200");
}

function readDescription(text: string): string {
  if (text.length <= DESCRIPTION_CHARACTERS) return text;
  throw new CodedError("request.invalid", `description: must have ${DESCRIPTION_CHARACTERS} characters at most`);
}

/** Neither a tenant's names nor the ids hold a slash. */
function associatedData({ tenant, id }: Bin, requestId: string): string {
  return `bin-request/${tenantKey(tenant)}/${id}/${requestId}`;
}

/** When a request's id was made: a UUIDv7 begins with its milliseconds. */
function timeOf(requestId: string): number | undefined {
  const [, hex] = /^brq_([0-9a-f]{12})[0-9a-f]{20}$/.exec(requestId) ?? [];
  if (hex !== undefined) return Number.parseInt(hex, 16);
  if (requestId === "") return undefined;
  throw new CodedError("request.invalid", "after_request_id: must be the id of a request of this bin");
}
