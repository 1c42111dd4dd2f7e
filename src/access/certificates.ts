/** Clients' certificates, which speak for keys: bound to one by their fingerprint, and to no other. */
import { X509Certificate } from "node:crypto";
import type { Clock } from "../kernel/clock.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { sameTenant, type Tenant } from "../kernel/tenant.ts";
import type { CertificateRecord, CertificateStore, Credential, KeyRecord, KeyStore } from "./access-store.ts";
import { type Possession, requirePossession } from "./certificate-proof.ts";

/** SHA-256 of the certificate (DER), in lower-case hex. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}

/** As tools write it: `AB:CD:…` (openssl) or plain hex. Undefined where it is none. */
export function readFingerprint(text: string): string | undefined {
  const plain = text.replaceAll(":", "").toLowerCase();
  return /^[0-9a-f]{64}$/.test(plain) ? plain : undefined;
}

export interface CertificatesDeps {
  readonly store: CertificateStore & Pick<KeyStore, "findKey">;
  readonly clock: Clock;
}

/** What is said of a key that there isn't, or that is another tenant's. */
export type Bound = { readonly key: KeyRecord; readonly certificates: readonly string[] } | "noKey";

export class Certificates {
  readonly #deps: CertificatesDeps;

  constructor(deps: CertificatesDeps) {
    this.#deps = deps;
  }

  /**
   * Binds a certificate, in PEM or DER, whose private key the caller has; one that the key has already changes nothing.
   * One of the tenant's own whose key counts no more goes over.
   *
   * @throws CodedError `request.invalid`, `key.ended`, `certificate.taken`, `limit.key_certificates`.
   */
  async bind(tenant: Tenant, keyId: string, certificate: Uint8Array, possession: Possession): Promise<Bound> {
    const { store, clock } = this.#deps;
    const key = await this.#keyOf(tenant, keyId);
    if (key === undefined) return "noKey";
    const parsed = this.#read(certificate);
    const fingerprint = fingerprintOf(parsed);
    // Before anything is said of the certificate: whose it is, is for its owner.
    const provenAtMs = requirePossession(parsed, fingerprint, keyId, possession, clock.now());
    if (!counts(key, clock.now())) throw new CodedError("key.ended", "the key was revoked, or has expired");
    const before = await this.#of(tenant, keyId);
    if (before.includes(fingerprint)) return { key, certificates: before };
    // Two that come at once may both pass, as keys may.
    if (before.length >= LIMITS.keyCertificates) {
      const message = `the key has ${before.length} certificates, as many as it may; unbind some`;
      throw new CodedError("limit.key_certificates", message);
    }
    await this.#release(tenant, fingerprint);
    const bound = await store.bindCertificate({ fingerprint, tenant, keyId, boundAtMs: clock.now() }, provenAtMs);
    // Or whoever heard the proof could undo what was done since.
    if (bound.keyId === "" && sameTenant(bound.tenant, tenant))
      throw invalidField("signed_at", "must not be before the certificate was unbound: sign anew");
    if (bound.keyId !== keyId)
      throw new CodedError("certificate.taken", "the certificate is another key's, or another tenant's");
    return { key, certificates: [...before, fingerprint] };
  }

  /** Undefined where the key has no such certificate. @throws CodedError `request.invalid`. */
  async unbind(tenant: Tenant, keyId: string, text: string): Promise<Bound | undefined> {
    const key = await this.#keyOf(tenant, keyId);
    if (key === undefined) return "noKey";
    const fingerprint = readFingerprint(text);
    if (fingerprint === undefined) throw invalidField("fingerprint", "must be a SHA-256 in hex, 64 digits");
    const wasBound = await this.#deps.store.unbindCertificate(tenant, keyId, fingerprint, this.#deps.clock.now());
    return wasBound ? { key, certificates: await this.#of(tenant, keyId) } : undefined;
  }

  /** The fingerprints of each key that has some. */
  async listed(tenant: Tenant, keyIds: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
    const records = await this.#deps.store.listCertificates(tenant, keyIds);
    return new Map(
      [...Map.groupBy(records, ({ keyId }) => keyId)].map(([keyId, own]) => [keyId, own.map(fingerprintIn)]),
    );
  }

  async #keyOf(tenant: Tenant, keyId: string): Promise<KeyRecord | undefined> {
    const key = await this.#deps.store.findKey(keyId);
    return key !== undefined && sameTenant(key.tenant, tenant) ? key : undefined;
  }

  async #of(tenant: Tenant, keyId: string): Promise<readonly string[]> {
    return (await this.#deps.store.listCertificates(tenant, [keyId])).map(fingerprintIn);
  }

  #read(bytes: Uint8Array): X509Certificate {
    if (bytes.length === 0) throw invalidField("certificate", "is required");
    const certificate = parse(bytes);
    if (certificate === undefined) throw invalidField("certificate", "must be an X.509 certificate, in PEM or DER");
    if (certificate.validToDate.getTime() <= this.#deps.clock.now()) {
      throw invalidField("certificate", "must not have expired");
    }
    return certificate;
  }

  /** From a key of the tenant's that counts no more, or is gone. */
  async #release(tenant: Tenant, fingerprint: string): Promise<void> {
    const { store, clock } = this.#deps;
    const bound = await store.findCertificate(fingerprint);
    if (bound === undefined || !sameTenant(bound.tenant, tenant)) return;
    const key = await this.#keyOf(tenant, bound.keyId);
    if (key !== undefined && counts(key, clock.now())) return;
    // Nobody asked for it to be unbound: proofs of before hold, for keys that still count.
    await store.unbindCertificate(tenant, bound.keyId, fingerprint, bound.boundAtMs);
  }
}

function parse(bytes: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(bytes);
  } catch {
    return undefined;
  }
}

function counts({ revokedAtMs, expiresAtMs }: Credential, nowMs: number): boolean {
  return revokedAtMs === undefined && (expiresAtMs === undefined || expiresAtMs > nowMs);
}

const fingerprintIn = ({ fingerprint }: CertificateRecord): string => fingerprint;
