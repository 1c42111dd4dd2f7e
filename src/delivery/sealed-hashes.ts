/**
 * The hash of a body that an attempt sent, under a key of the keyring in the store: a plain one would let whoever reads
 * the store guess a payload and check the guess, and a keyed one would be no SHA-256 any more, which the API says it is.
 */
import type { Attempt, Delivery } from "../domain/delivery.ts";
import { CodedError } from "../kernel/errors.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { Keyring } from "../signing/keyring.ts";
import type { DeliveryWrite } from "./delivery-store.ts";

/** A write without an attempt stays the same object: a store may know by it that a flush is repeated. */
export function sealHashes(keyring: Keyring, write: DeliveryWrite): DeliveryWrite {
  const seal = (tenant: Tenant) => (attempt: Attempt) =>
    withHash(attempt, (hash) => keyring.seal(hash, sealedFor(tenant, attempt)));
  if (write.kind === "first") {
    const { delivery } = write;
    if (delivery.attempts.length === 0) return write;
    return { ...write, delivery: { ...delivery, attempts: delivery.attempts.map(seal(delivery.tenant)) } };
  }
  return write.attempt === undefined ? write : { ...write, attempt: seal(write.tenant)(write.attempt) };
}

/** One whose key is gone is empty then: nothing but the comparison with another body hangs on it. */
export function openHashes(keyring: Keyring, delivery: Delivery): Delivery {
  if (!delivery.attempts.some(({ request }) => request !== undefined && isSealed(request.bodySha256))) return delivery;
  const attempts = delivery.attempts.map((attempt) =>
    withHash(attempt, (hash) => (isSealed(hash) ? opened(keyring, hash, sealedFor(delivery.tenant, attempt)) : hash)),
  );
  return { ...delivery, attempts };
}

/** Hex has no dot, and what the keyring seals has one behind its key's id. */
const isSealed = (hash: string): boolean => hash.includes(".");

const sealedFor = ({ organisation, environment }: Tenant, { id }: Attempt): string =>
  `attempt/${organisation}/${environment}/${id}/body`;

function withHash(attempt: Attempt, change: (hash: string) => string): Attempt {
  const { request } = attempt;
  if (request === undefined) return attempt;
  return { ...attempt, request: { ...request, bodySha256: change(request.bodySha256) } };
}

function opened(keyring: Keyring, hash: string, about: string): string {
  try {
    return keyring.open(hash, about);
  } catch (error) {
    if (error instanceof CodedError) return "";
    throw error;
  }
}
