import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { CertificateRecord, CertificateStore, KeyRecord } from "./access-store.ts";
import { signProof } from "./certificate-proof.ts";
import { Certificates, fingerprintOf, readFingerprint } from "./certificates.ts";

const ACME: Tenant = { organisation: "acme", environment: "production" };
const pem = (name: string) => readFileSync(new URL(`../../test/support/tls/clients/${name}.pem`, import.meta.url));
const printOf = (name: string) => fingerprintOf(new X509Certificate(pem(name)));

class Store implements CertificateStore {
  readonly keys = new Map<string, KeyRecord>();
  readonly records = new Map<string, CertificateRecord>();

  key(id: string, over: Partial<KeyRecord> = {}): void {
    this.keys.set(id, { id, tenant: ACME, role: "viewer", hash: "h", createdAtMs: 0, ...over });
  }

  findKey = async (id: string) => this.keys.get(id);
  async findCertificate(fingerprint: string) {
    const found = this.records.get(fingerprint);
    return found?.keyId === "" ? undefined : found;
  }
  async bindCertificate(record: CertificateRecord, provenAtMs = record.boundAtMs) {
    const before = this.records.get(record.fingerprint);
    const isFree = before === undefined || (before.keyId === "" && before.boundAtMs <= provenAtMs);
    const stands = isFree ? record : before;
    this.records.set(record.fingerprint, stands);
    return stands;
  }
  async listCertificates({ organisation }: Tenant, ids: readonly string[]) {
    return [...this.records.values()].filter(
      ({ tenant, keyId }) => tenant.organisation === organisation && ids.includes(keyId),
    );
  }
  async unbindCertificate(_: Tenant, keyId: string, fingerprint: string, nowMs: number) {
    const bound = this.records.get(fingerprint);
    if (bound?.keyId !== keyId) return false;
    this.records.set(fingerprint, { ...bound, keyId: "", boundAtMs: nowMs });
    return true;
  }
}

function setUp() {
  const store = new Store();
  store.key("key_1");
  store.key("key_2");
  const clock = new ManualClock();
  const certificates = new Certificates({ store, clock });
  /** With the signature of the private key, which all of the certificates share. */
  const bind = (tenant: Tenant, keyId: string, certificate: Uint8Array) => {
    const signedAtMs = clock.now();
    const signature = signProof(createPrivateKey(pem("key")), keyId, signedAtMs);
    return certificates.bind(tenant, keyId, certificate, { signature, signedAtMs });
  };
  return { store, clock, certificates, bind };
}

const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => "done",
    (error: unknown) => (error instanceof CodedError ? `${error.code} ${error.violations[0]?.field ?? ""}` : error),
  );

describe("binding a certificate", () => {
  test("takes PEM or DER, and the same again changes nothing", async () => {
    const { certificates, bind } = setUp();
    const bound = await bind(ACME, "key_1", pem("good"));
    expect(bound).toMatchObject({ key: { id: "key_1" }, certificates: [printOf("good")] });
    expect(await bind(ACME, "key_1", new X509Certificate(pem("good")).raw)).toEqual(bound);
    expect(await bind(ACME, "key_1", pem("second"))).toMatchObject({
      certificates: [printOf("good"), printOf("second")],
    });
    expect(await certificates.listed(ACME, ["key_1", "key_2"])).toEqual(
      new Map([["key_1", [printOf("good"), printOf("second")]]]),
    );
  });

  test.each([
    ["nothing", new Uint8Array()],
    ["no certificate", Buffer.from("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")],
    ["a private key", pem("key")],
    ["one that has expired", pem("expired")],
  ])("%s is refused by its field", async (_, bytes) => {
    const { bind } = setUp();
    expect(await codeOf(bind(ACME, "key_1", bytes))).toBe("request.invalid certificate");
  });

  test("finds no key of another tenant's, and none that there isn't", async () => {
    const { store, certificates, bind } = setUp();
    store.key("key_g", { tenant: { organisation: "globex", environment: "production" } });
    store.key("key_t", { tenant: { organisation: "acme", environment: "test" } });
    for (const id of ["key_g", "key_t", "key_9"]) {
      expect(await bind(ACME, id, pem("good"))).toBe("noKey");
      expect(await certificates.unbind(ACME, id, printOf("good"))).toBe("noKey");
    }
    expect(store.records.size).toBe(0);
  });

  test("that is not shown to be the caller's own is refused, and says nothing of whose it is", async () => {
    const { store, clock, certificates, bind } = setUp();
    const globex = { organisation: "globex", environment: "production" };
    store.key("key_g", { tenant: globex });
    await bind(globex, "key_g", pem("good"));
    const none = { signature: new Uint8Array() };
    const forOther = {
      signature: signProof(createPrivateKey(pem("key")), "key_g", clock.now()),
      signedAtMs: clock.now(),
    };
    for (const possession of [none, { ...none, shown: printOf("second") }, forOther]) {
      const tried = certificates.bind(ACME, "key_1", pem("good"), possession);
      expect(await codeOf(tried)).toBe("request.invalid signature");
    }
    const shown = { ...none, shown: printOf("second") };
    expect(await certificates.bind(ACME, "key_1", pem("second"), shown)).toMatchObject({ key: { id: "key_1" } });
  });

  test("of another key's is refused while that counts; afterwards it goes over", async () => {
    const { store, clock, bind } = setUp();
    await bind(ACME, "key_1", pem("good"));
    expect(await codeOf(bind(ACME, "key_2", pem("good")))).toBe("certificate.taken ");
    store.key("key_1", { revokedAtMs: clock.now() });
    expect(await bind(ACME, "key_2", pem("good"))).toMatchObject({ key: { id: "key_2" } });
    expect(await codeOf(bind(ACME, "key_1", pem("second")))).toBe("key.ended ");
    store.keys.delete("key_2");
    store.key("key_3");
    expect(await bind(ACME, "key_3", pem("good"))).toMatchObject({ key: { id: "key_3" } });
  });

  test("of another tenant's is refused even where its key has ended", async () => {
    const { store, bind } = setUp();
    const globex = { organisation: "globex", environment: "production" };
    store.key("key_g", { tenant: globex });
    await bind(globex, "key_g", pem("good"));
    store.key("key_g", { tenant: globex, revokedAtMs: 1 });
    expect(await codeOf(bind(ACME, "key_1", pem("good")))).toBe("certificate.taken ");
    expect(store.records.get(printOf("good"))?.keyId).toBe("key_g");
  });

  test("is done ten times for a key at most", async () => {
    const { store, bind } = setUp();
    for (let at = 0; at < LIMITS.keyCertificates; at += 1) {
      await store.bindCertificate({ fingerprint: `${at}`, tenant: ACME, keyId: "key_1", boundAtMs: 0 });
    }
    expect(await codeOf(bind(ACME, "key_1", pem("good")))).toBe("limit.key_certificates ");
  });
});

describe("unbinding a certificate", () => {
  test("ends the proofs of before: with none of them it is bound again, to the same key or another", async () => {
    const { clock, certificates, bind } = setUp();
    const proof = (keyId: string) => {
      const signedAtMs = clock.now();
      return { signature: signProof(createPrivateKey(pem("key")), keyId, signedAtMs), signedAtMs };
    };
    const [heard, unused] = [proof("key_1"), proof("key_2")];
    await certificates.bind(ACME, "key_1", pem("good"), heard);
    clock.advance(60_000);
    await certificates.unbind(ACME, "key_1", printOf("good"));
    expect(await codeOf(certificates.bind(ACME, "key_1", pem("good"), heard))).toBe("request.invalid signed_at");
    expect(await codeOf(certificates.bind(ACME, "key_2", pem("good"), unused))).toBe("request.invalid signed_at");
    const shown = { signature: new Uint8Array(), shown: printOf("good") };
    expect(await certificates.bind(ACME, "key_1", pem("good"), shown)).toMatchObject({ key: { id: "key_1" } });
    await certificates.unbind(ACME, "key_1", printOf("good"));
    expect(await bind(ACME, "key_2", pem("good"))).toMatchObject({ key: { id: "key_2" } });
  });

  test("names it as openssl writes it, or plainly", async () => {
    const { certificates, bind } = setUp();
    await bind(ACME, "key_1", pem("good"));
    const colons = new X509Certificate(pem("good")).fingerprint256;
    expect(readFingerprint(colons)).toBe(printOf("good"));
    expect(await certificates.unbind(ACME, "key_2", colons)).toBeUndefined();
    expect(await certificates.unbind(ACME, "key_1", colons)).toMatchObject({ certificates: [] });
    expect(await certificates.unbind(ACME, "key_1", printOf("good"))).toBeUndefined();
    expect(await codeOf(certificates.unbind(ACME, "key_1", "12:34"))).toBe("request.invalid fingerprint");
  });
});
