/**
 * The rules of subscriptions: what one may say (settings.ts), that a URL stands once in a scope, how many there may be,
 * how it is changed, disabled and rotated. Keeps them in a SubscriptionStore; everything it does is under a tenant.
 */
import { isDeepStrictEqual } from "node:util";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type {
  EndpointCondition,
  EndpointHealth,
  Subscription as SubscriptionMessage,
} from "../../gen/passbus/v1/subscription_pb.js";
import type { ListSubscriptionsRequest } from "../../gen/passbus/v1/subscription_service_pb.js";
import { liveSecrets, type SealedSecret, type Subscription } from "../domain/subscription.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import type { IdSource } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import { type Page, type PageRequest, pageRequest } from "../kernel/page.ts";
import type { Random } from "../kernel/random.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { Keyring } from "../signing/keyring.ts";
import { makeSecret, openSecret, sealSecret } from "../signing/secrets.ts";
import { type AskedTls, readTls, withTls } from "./endpoint-tls.ts";
import {
  type AuthorizationChange,
  authorizationChange,
  refuseMovedAuthorization,
  withAuthorization,
} from "./ethpass-authorization.ts";
import { endpointKey, type HealthStore, healthMessage } from "./health.ts";
import type { LimitStore } from "./limit-store.ts";
import { limitReached, scopeLimit } from "./limits.ts";
import { type Matches, matchingPage, readFilter } from "./list-filter.ts";
import { subscriptionMessage } from "./message.ts";
import { millisecondsOf } from "./policy.ts";
import {
  duplicateUrl,
  isRefusal,
  refusedUrl,
  refuseForeignTenant,
  required,
  unknownSubscription,
  withUrlFlaws,
} from "./refusals.ts";
import { readEntityId, readSettings, type SubscriptionSettings } from "./settings.ts";
import type { SubscriptionStore } from "./subscription-store.ts";
import { initialStanding, rotated, standingAsAsked, standingDisabledByUs, startsAnew } from "./transitions.ts";
import { applyMask, isFieldNamed } from "./update-mask.ts";
import { urlKeyOf } from "./url-key.ts";
import { Violations } from "./violations.ts";

/**
 * Judges an endpoint's URL, and resolves its host. Rejects with a `url.invalid` or `guard.refused` that says what would
 * be right. `urlKey` is the URL in normal form. `isDraft`: nothing is resolved.
 */
export type CheckEndpoint = (url: string, isDraft?: boolean) => Promise<{ readonly urlKey: string }>;

export interface SubscriptionServiceDeps {
  readonly store: SubscriptionStore;
  readonly limits: Pick<LimitStore, "limits">;
  readonly health: HealthStore;
  readonly keyring: Keyring;
  /** There are keys for v1a signatures. */
  readonly signsEd25519: boolean;
  readonly checkEndpoint: CheckEndpoint;
  /** Sees to it that what is left of a subscription goes once it is deleted, which it may not be. */
  readonly eraseDeleted?: (tenant: Tenant, id: string) => Promise<void>;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly random: Random;
}

/** A subscription and the text of the secret just made: it is shown here, and never again. */
export interface SubscriptionWithSecret {
  readonly subscription: Subscription;
  readonly secret: string;
}

/** What a request says of a new subscription. */
interface Asked {
  readonly entityId: string;
  readonly settings: SubscriptionSettings;
  readonly authorization: AuthorizationChange;
  readonly tls: AskedTls | undefined;
}

/** In place of the URL that a draft lacks (RFC 2606 §2). */
const NOWHERE = "https://url.invalid/";

const DEFAULT_OVERLAP_MS = 24 * 3_600_000;

/** Writes that meet somebody else's are made again on what is there then; a person's own clicks need no more. */
const WRITE_TRIES = 5;

export class SubscriptionService {
  readonly #deps: SubscriptionServiceDeps;

  constructor(deps: SubscriptionServiceDeps) {
    this.#deps = deps;
  }

  /**
   * `origin` says by whose rules of scope; passbus.v1's where it is left out. `prove` is called with what is about to be
   * stored, and rejects where it must not be. `request.invalid`, `url.invalid`, `subscription.duplicate_url`,
   * `limit.subscriptions`, and what `prove` rejects with.
   */
  async create(
    tenant: Tenant,
    draft: SubscriptionMessage | undefined,
    origin?: Subscription["origin"],
    prove?: (subscription: Subscription) => Promise<void>,
  ): Promise<SubscriptionWithSecret> {
    const { store, limits, clock } = this.#deps;
    const message = required(draft);
    const asked = await this.#withUrl(message.url, () => this.#readDraft(tenant, message));
    const normalUrl = await this.#normalUrl(asked.settings.url);
    const { subscription: made, secret } = this.#make(tenant, asked, origin);
    await prove?.(made);
    // A proof takes its time, and events of that time are not for this subscription.
    const subscription = { ...stamped(made, clock.now()), urlKey: urlKeyOf(made, normalUrl) };
    const limit = scopeLimit(subscription, await limits.limits(tenant.organisation));
    switch (await store.insert(subscription, limit)) {
      case "inserted":
        return { subscription, secret };
      case "duplicateUrl":
        throw duplicateUrl(subscription.entityId);
      case "limitReached":
        throw limitReached(subscription, limit);
    }
  }

  /**
   * To render webhooks for, and stored nowhere: what `update` without a mask would make of the one with the id; without an
   * id what `create` would, and its secret; the URL may be missing. `request.invalid`, `url.invalid`, `resource.not_found`.
   */
  async draft(
    tenant: Tenant,
    given: SubscriptionMessage | undefined,
  ): Promise<{ readonly subscription: Subscription; readonly secret?: string }> {
    const message = required(given);
    if (message.id === "") {
      const isNamed = message.url !== "";
      const read = () => this.#readDraft(tenant, isNamed ? message : { ...message, url: NOWHERE });
      const asked = await this.#withUrl(message.url, read);
      if (isNamed) await this.#normalUrl(message.url, true);
      const { subscription, secret } = this.#make(tenant, asked);
      return { subscription: isNamed ? subscription : { ...subscription, url: "" }, secret };
    }
    const current = await this.get(tenant, message.id);
    const read = () => this.#readChange(current, message, undefined, this.#deps.clock.now());
    const asked = await this.#withUrl(message.url, read);
    if (asked.settings.url !== current.url) await this.#normalUrl(asked.settings.url, true);
    return { subscription: this.#changed(current, asked) };
  }

  /** `resource.not_found`. */
  async get(tenant: Tenant, id: string): Promise<Subscription> {
    const found = await this.#deps.store.get(tenant, id);
    if (found === undefined) throw unknownSubscription(id);
    return found;
  }

  /** `request.invalid`. */
  async list(tenant: Tenant, request: ListSubscriptionsRequest): Promise<Page<Subscription>> {
    const { stored, matches, health } = readFilter(request);
    const page = pageRequest(request.pageSize, request.pageToken);
    const list = (each: typeof page) => this.#deps.store.list(tenant, stored, each);
    if (health !== undefined) return this.#pageInCondition(health, list, page, matches);
    return matches === undefined ? list(page) : matchingPage(list, page, matches);
  }

  /** How the endpoints are doing, in the order given. */
  async healthOf(subscriptions: readonly Subscription[]): Promise<readonly EndpointHealth[]> {
    if (subscriptions.length === 0) return [];
    return (await this.#deps.health.read(subscriptions.map(endpointKey))).map(healthMessage);
  }

  #pageInCondition(
    condition: EndpointCondition,
    list: (page: PageRequest) => Promise<Page<Subscription>>,
    asked: PageRequest,
    matches: Matches = () => true,
  ): Promise<Page<Subscription>> {
    const found = new Set<string>();
    const withHealth = async (each: PageRequest) => {
      const page = await list(each);
      const health = await this.healthOf(page.items);
      page.items.forEach(({ id }, at) => {
        if (health[at]?.condition === condition) found.add(id);
      });
      return page;
    };
    return matchingPage(withHealth, asked, (one) => found.has(one.id) && matches(one));
  }

  /**
   * Changes what `paths` name (see update-mask.ts), or what is set in `change` where they are undefined. An update that
   * changes nothing writes nothing. `request.invalid`, `url.invalid`, `resource.not_found`,
   * `subscription.duplicate_url`, `version.changed`.
   */
  async update(
    tenant: Tenant,
    change: SubscriptionMessage | undefined,
    paths: readonly string[] | undefined,
  ): Promise<Subscription> {
    const message = required(change);
    if (message.id === "") throw invalidField("subscription.id", "is required");
    return this.#write(tenant, message.id, async (current, nowMs) => {
      const url = isFieldNamed("url", paths) && message.url !== current.url ? message.url : "";
      const asked = await this.#withUrl(url, () => this.#readChange(current, message, paths, nowMs));
      const { settings } = asked;
      const urlKey =
        settings.url === current.url ? current.urlKey : urlKeyOf(current, await this.#normalUrl(settings.url));
      const { disabledReason: _, ...changed } = this.#changed(current, asked);
      const next = { ...changed, ...standingAsAsked(current, settings.state, nowMs), urlKey };
      // Before the change is there: a crash between forgets a failure, and never one that came after.
      if (startsAnew(current, next)) await this.#deps.health.remove([endpointKey(current)]);
      return next;
    });
  }

  /**
   * `resource.not_found`. What waits for it is cancelled by whoever would deliver it; a minute later its deliveries go.
   */
  async delete(tenant: Tenant, id: string): Promise<void> {
    // Before it goes, so that a crash in between leaves nothing that nobody knows of; one that there is not costs nothing.
    if ((await this.#deps.store.get(tenant, id)) !== undefined) await this.#deps.eraseDeleted?.(tenant, id);
    if (!(await this.#deps.store.remove(tenant, id))) throw unknownSubscription(id);
  }

  /**
   * A new secret. The one before goes on signing beside it for `overlap` (0 to 7 days, 24 hours where it is undefined);
   * one still older, of a rotation whose overlap has not ended, ends. `request.invalid`, `resource.not_found`,
   * `version.changed`.
   */
  async rotateSecret(tenant: Tenant, id: string, overlap: Duration | undefined): Promise<SubscriptionWithSecret> {
    const overlapMs = overlap === undefined ? DEFAULT_OVERLAP_MS : millisecondsOf(overlap);
    if (overlapMs === undefined || overlapMs < 0 || overlapMs > LIMITS.rotationOverlapMs) {
      throw invalidField("overlap", "must be 0 s to 7 days");
    }
    const secret = this.#makeSecret({ tenant, id }, this.#deps.clock.now());
    const subscription = await this.#write(tenant, id, async (current, nowMs) => ({
      ...current,
      secrets: rotated(current.secrets, secret.sealed, overlapMs, nowMs),
    }));
    return { subscription, secret: secret.text };
  }

  /**
   * Disabled by passbus: the endpoint with this `urlKey` answered 410, or failed for days. One that is disabled already, or
   * has got another endpoint since, stays as it is; undefined where there is none any more.
   */
  async disable(
    tenant: Tenant,
    id: string,
    reason: "gone" | "failing",
    urlKey: string,
  ): Promise<Subscription | undefined> {
    try {
      return await this.#write(tenant, id, async (current) =>
        current.urlKey === urlKey ? { ...current, ...standingDisabledByUs(current, reason) } : current,
      );
    } catch (error) {
      if (error instanceof CodedError && error.code === "resource.not_found") return undefined;
      throw error;
    }
  }

  /**
   * The text of the secret that PASSKIT signs with now. For `io.Integrations` alone, whose create answers no more than an
   * id (design, section 6.9): whoever shows it writes that to the audit log.
   */
  currentSecret(subscription: Subscription): { readonly id: string; readonly text: string } {
    const [newest] = liveSecrets(subscription, this.#deps.clock.now());
    if (newest === undefined) throw new CodedError("internal", `subscription ${subscription.id} has no live secret`);
    return { id: newest.id, text: openSecret(this.#deps.keyring, subscription, newest) };
  }

  #readDraft(tenant: Tenant, message: SubscriptionMessage): Asked {
    const wrong = new Violations("subscription");
    if (message.id !== "") wrong.add("id", "is made by passbus; leave it empty");
    refuseForeignTenant(tenant, message, wrong);
    const entityId = readEntityId(message.entityId, wrong);
    const settings = readSettings(message, wrong);
    this.#refuseWithoutKeys(settings, wrong);
    const tls = readTls(message, undefined, wrong);
    wrong.throwIfAny();
    const authorization = authorizationChange(message.formatOptions?.ethpassAuthorization ?? "", undefined);
    return { entityId, settings, authorization, tls };
  }

  #make(tenant: Tenant, asked: Asked, origin?: Subscription["origin"]): SubscriptionWithSecret {
    const { clock, ids, keyring } = this.#deps;
    const { entityId, settings, authorization } = asked;
    const nowMs = clock.now();
    const owner = { tenant, id: ids.next("sub"), ...(origin === undefined ? {} : { origin }) };
    const { sealed, text } = this.#makeSecret(owner, nowMs);
    const made = {
      ...owner,
      ...settings,
      formatOptions: withAuthorization(keyring, owner, settings, authorization, undefined),
      ...withTls(keyring, owner, asked.tls, undefined),
      entityId,
      urlKey: "",
      secrets: [sealed],
      version: 1,
    };
    return { subscription: stamped(made, nowMs), secret: text };
  }

  #readChange(
    current: Subscription,
    change: SubscriptionMessage,
    paths: readonly string[] | undefined,
    nowMs: number,
  ): Omit<Asked, "entityId"> {
    const wrong = new Violations("subscription");
    refuseForeignTenant(current.tenant, change, wrong);
    const before = subscriptionMessage(current, nowMs);
    const asked = applyMask(before, change, paths);
    const settings = readSettings(asked, wrong, before);
    if (current.origin === "passkit" && settings.format !== "PASSKIT" && settings.format !== current.format) {
      wrong.add("format", "was made by PassKit's API, and so stays FORMAT_PASSKIT");
    }
    // Where the seeds were taken away, what had signatures by them can still be changed.
    if (current.ed25519Signature !== true) this.#refuseWithoutKeys(settings, wrong);
    const authorization = authorizationChange(asked.formatOptions?.ethpassAuthorization ?? "", paths);
    refuseMovedAuthorization(current, settings, authorization, wrong);
    const tls = readTls(asked, current.tls, wrong);
    wrong.throwIfAny();
    return { settings, authorization, tls };
  }

  #refuseWithoutKeys({ ed25519Signature }: SubscriptionSettings, wrong: Violations): void {
    if (ed25519Signature !== true || this.#deps.signsEd25519) return;
    wrong.add("ed25519_signature", "this passbus has no keys for it: its operator sets PASSBUS_SIGNING_SEEDS");
  }

  /** With the settings in place of its own, but for the state, which is more than a setting. */
  #changed(current: Subscription, { settings, authorization, tls }: Omit<Asked, "entityId">): Subscription {
    const { keyring } = this.#deps;
    const stored = current.formatOptions.sealedEthpassAuthorization;
    const formatOptions = withAuthorization(keyring, current, settings, authorization, stored);
    // Settings that are absent where they say nothing.
    const { membershipEvents: _m, couponEvents: _c, operationalEvents: _o, ...others } = current;
    const { filter: _f, ed25519Signature: _e, tls: _t, ...rest } = others;
    return {
      ...rest,
      ...settings,
      formatOptions,
      ...withTls(keyring, current, tls, current.tls),
      state: current.state,
    };
  }

  /** Writes what `change` makes of the stored one, and makes it again if another write came between. */
  async #write(
    tenant: Tenant,
    id: string,
    change: (current: Subscription, nowMs: number) => Promise<Subscription>,
  ): Promise<Subscription> {
    for (let tries = 0; tries < WRITE_TRIES; tries++) {
      const current = await this.get(tenant, id);
      const nowMs = this.#deps.clock.now();
      const changed = await change(current, nowMs);
      if (isDeepStrictEqual(changed, current)) return current;
      const next = { ...changed, updatedAtMs: nowMs, version: current.version + 1 };
      const result = await this.#deps.store.replace(next);
      if (result === "replaced") return next;
      if (result === "missing") throw unknownSubscription(id);
      if (result === "duplicateUrl") throw duplicateUrl(current.entityId);
    }
    throw new CodedError("version.changed", `subscription ${id} is being changed by others; read it and try again`);
  }

  /** What is wrong with the URL is said together with what `read` finds wrong; an empty one isn't looked at. */
  #withUrl<T>(url: string, read: () => T): Promise<T> {
    return withUrlFlaws(read, async () => url !== "" && this.#normalUrl(url, true));
  }

  async #normalUrl(url: string, isDraft = false): Promise<string> {
    try {
      return (await this.#deps.checkEndpoint(url, isDraft)).urlKey;
    } catch (error) {
      throw isRefusal(error) ? refusedUrl(error) : error;
    }
  }

  #makeSecret(owner: Pick<Subscription, "tenant" | "id">, nowMs: number): { sealed: SealedSecret; text: string } {
    const { ids, keyring, random } = this.#deps;
    const text = makeSecret(random);
    const id = ids.next("sec");
    return { text, sealed: { id, sealed: sealSecret(keyring, owner, id, text), createdAtMs: nowMs } };
  }
}

/** A new subscription stands as it does from its creation on. */
function stamped<T extends SubscriptionSettings>(made: T, nowMs: number) {
  return { ...made, ...initialStanding(made.state, nowMs), createdAtMs: nowMs, updatedAtMs: nowMs };
}
