/**
 * Which certificates speak for which keys. An `_id` is the fingerprint alone: it is found before anybody knows whose it is.
 * One that was unbound stays its tenant's, with an empty key and the time of that.
 */
import type { CertificateRecord, CertificateStore } from "../../access/access-store.ts";
import { tenantKey } from "../../kernel/tenant.ts";
import { COLLECTIONS, tenantOf } from "./documents.ts";
import type { Stored, Wire } from "./wire.ts";

interface CertificateDocument extends Stored {
  readonly tenant: string;
  readonly key: string;
  readonly boundAt: number;
}

const { keyCertificates } = COLLECTIONS;

export function certificateStore(wire: Wire): CertificateStore {
  const reserved = async (fingerprint: string) => {
    const found = await wire.findOne<CertificateDocument>(keyCertificates, { _id: fingerprint });
    return found === undefined ? undefined : recordOf(found);
  };
  return {
    async findCertificate(fingerprint) {
      const found = await reserved(fingerprint);
      return found?.keyId === "" ? undefined : found;
    },
    async bindCertificate(record, provenAtMs = record.boundAtMs) {
      const { fingerprint, tenant, keyId, boundAtMs } = record;
      const document = { _id: fingerprint, tenant: tenantKey(tenant), key: keyId, boundAt: boundAtMs };
      const taken = await wire.insert<CertificateDocument>(keyCertificates, [document], () => 0);
      if (taken.length === 0) return record;
      const unbound = { _id: fingerprint, tenant: tenantKey(tenant), key: "", boundAt: { $lte: provenAtMs } };
      await wire.update(keyCertificates, [{ q: unbound, u: { $set: { key: keyId, boundAt: boundAtMs } } }]);
      return (await reserved(fingerprint)) ?? record;
    },
    async listCertificates(tenant, keyIds) {
      if (keyIds.length === 0) return [];
      const filter = { tenant: tenantKey(tenant), key: { $in: [...keyIds] } };
      const found = await wire.find<CertificateDocument>(keyCertificates, filter, { sort: { boundAt: 1, _id: 1 } });
      return found.map(recordOf);
    },
    async unbindCertificate(tenant, keyId, fingerprint, nowMs) {
      const filter = { _id: fingerprint, tenant: tenantKey(tenant), key: keyId };
      return (await wire.update(keyCertificates, [{ q: filter, u: { $set: { key: "", boundAt: nowMs } } }])) > 0;
    },
  };
}

function recordOf({ _id, tenant, key, boundAt }: CertificateDocument): CertificateRecord {
  return { fingerprint: _id, tenant: tenantOf(tenant), keyId: key, boundAtMs: boundAt };
}
