/** The subscriptions room on a store in memory, and an endpoint check that says no to two sorts of URL. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
import { CodedError } from "../../src/kernel/errors.ts";
import { idSource } from "../../src/kernel/ids.ts";
import { ManualClock } from "../../src/kernel/manual-clock.ts";
import { seededRandom } from "../../src/kernel/random.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import { keyringFrom, makeEncryptionKey } from "../../src/signing/keyring.ts";
import { type CheckEndpoint, SubscriptionService } from "../../src/subscriptions/subscription-service.ts";
import { MemoryEndpoints } from "./memory-endpoints.ts";
import { MemoryLimits, MemorySubscriptions } from "./memory-subscriptions.ts";

export type SubscriptionInit = MessageInitShape<typeof SubscriptionSchema>;

export const tenant: Tenant = { organisation: "acme", environment: "production" };
export const stranger: Tenant = { organisation: "acme", environment: "staging" };
export const url = "https://a.example/hook";

/** Says no to plain http, as the guard does. */
const checkEndpoint: CheckEndpoint = async (text) => {
  if (text.startsWith("http:")) throw new CodedError("url.invalid", "must begin with https://");
  if (text.includes("10.0.0.1")) throw new CodedError("guard.refused", "must lead to a public address");
  return { urlKey: text.toLowerCase() };
};

export function subscriptionsRoom({ signsEd25519 = true } = {}) {
  const clock = new ManualClock();
  const random = seededRandom(11);
  const keyring = keyringFrom(makeEncryptionKey("k1", random), random);
  const store = new MemorySubscriptions();
  const checked: string[] = [];
  const limits = new MemoryLimits();
  const health = new MemoryEndpoints();
  const service = new SubscriptionService({
    store,
    limits,
    health,
    keyring,
    signsEd25519,
    clock,
    random,
    ids: idSource(clock, random),
    checkEndpoint: (text, isDraft) => {
      if (isDraft === true) return checkEndpoint(text);
      checked.push(text);
      return checkEndpoint(text);
    },
  });
  const add = (init: SubscriptionInit = {}) => {
    const draft = create(SubscriptionSchema, init);
    if (draft.url === "") draft.url = url;
    return service.create(tenant, draft);
  };
  const change = (init: SubscriptionInit, paths?: string[]) =>
    service.update(tenant, create(SubscriptionSchema, init), paths);
  return { add, change, checked, clock, health, keyring, limits, service, store };
}

export async function refusal(call: Promise<unknown>): Promise<CodedError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof CodedError) return error;
  throw new Error(`no error of ours: ${String(error)}`);
}
