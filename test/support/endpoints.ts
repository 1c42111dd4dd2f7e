/** Subscriptions of the suites that run a real passbus, and what is said of what their receiver got. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Format, type Subscription, type SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
import type { Clients } from "./passbus.ts";
import type { Sink } from "./sink.ts";
import type { Receipt } from "./sink-wire.ts";

/** Nobody listens there: no user's process may, and no service of our day does. */
export const DEAD_URL = "http://127.0.0.1:2/dead";

export interface Endpoint {
  readonly id: string;
  /** Of the sink; for an endpoint elsewhere, its URL. */
  readonly path: string;
  readonly format: Format;
  readonly secret: string;
}

type Draft = Omit<Exclude<MessageInitShape<typeof SubscriptionSchema>, Subscription>, "url">;

/** Registers a path of the sink, which verifies with its secret from then on. */
export async function subscribe(
  { subscriptions }: Pick<Clients, "subscriptions">,
  sink: Sink,
  path: string,
  draft: Draft = {},
): Promise<Endpoint> {
  const { id, format, secret } = await create(subscriptions, sink.url(path), draft);
  await sink.expectSecrets(path, secret);
  return { id, path, format, secret };
}

/** Registers an endpoint that isn't the sink's. */
export function subscribeElsewhere(
  { subscriptions }: Pick<Clients, "subscriptions">,
  url: string,
  draft: Draft = {},
): Promise<Endpoint> {
  return create(subscriptions, url, draft);
}

async function create(client: Clients["subscriptions"], url: string, draft: Draft): Promise<Endpoint> {
  const { subscription, secret } = await client.createSubscription({ subscription: { ...draft, url } });
  if (subscription === undefined) throw new Error("a subscription was created and not returned");
  return { id: subscription.id, path: url, format: subscription.format, secret };
}

/** Healthy endpoints, every second one in PassKit's format. */
export async function subscribeHealthy(
  api: Pick<Clients, "subscriptions">,
  sink: Sink,
  prefix: string,
  count: number,
  draft: Draft = {},
): Promise<readonly Endpoint[]> {
  const endpoints: Endpoint[] = [];
  for (let at = 0; at < count; at++) {
    const format = at % 2 === 0 ? Format.STANDARD : Format.PASSKIT;
    endpoints.push(await subscribe(api, sink, `${prefix}/healthy-${at}`, { ...draft, format }));
  }
  return endpoints;
}

/** What one endpoint got, against what it should have got. All empty is as it should be, but for repeats after a fault. */
export interface Verdict {
  /** Passes whose event never came. */
  readonly missing: readonly string[];
  /** Passes whose event nobody published, or that came under two webhook ids. */
  readonly unexpected: readonly string[];
  /** Requests whose signatures do not all hold. */
  readonly forged: readonly Receipt[];
  /** Requests beyond the first of their webhook id. */
  readonly repeats: readonly Receipt[];
  /** When the first request with each pass came. */
  readonly firstAtMs: ReadonlyMap<string, number>;
}

export function judge(endpoint: Endpoint, receipts: readonly Receipt[], published: ReadonlySet<string>): Verdict {
  const firstAtMs = new Map<string, number>();
  const webhookOf = new Map<string, string>();
  const unexpected: string[] = [];
  const forged: Receipt[] = [];
  const repeats: Receipt[] = [];
  for (const receipt of receipts) {
    if (receipt.path !== endpoint.path) continue;
    const { passId, webhookId } = receipt;
    const known = webhookOf.get(passId);
    if (!isGenuine(endpoint, receipt)) forged.push(receipt);
    if (!published.has(passId) || (known !== undefined && known !== webhookId)) unexpected.push(passId);
    else if (known !== undefined) repeats.push(receipt);
    webhookOf.set(passId, webhookId);
    if (known === undefined) firstAtMs.set(passId, receipt.atMs);
  }
  const missing = [...published].filter((passId) => !firstAtMs.has(passId));
  return { missing, unexpected, forged, repeats, firstAtMs };
}

/** One signature, which the endpoint's one secret verifies, and PassKit's own header exactly where its format has it. */
function isGenuine(endpoint: Endpoint, receipt: Receipt): boolean {
  const bodySignature = endpoint.format === Format.PASSKIT ? true : undefined;
  return receipt.signatures === 1 && receipt.verifiedBy[0] === 0 && receipt.bodySignatureHolds === bodySignature;
}
