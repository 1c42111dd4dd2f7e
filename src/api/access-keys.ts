/** The calls of passbus.v1.AccessService on keys, portal sessions and the audit log. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AccessService,
  type AuditRecordSchema,
  type KeySchema,
  type ListAuditRecordsRequest,
  type PortalSessionSchema,
  Role as WireRole,
} from "../../gen/passbus/v1/access_service_pb.js";
import type { AuditFilter, AuditRecord, AuditStore, KeyRecord, Role, SessionRecord } from "../access/access-store.ts";
import type { Bound, Certificates } from "../access/certificates.ts";
import type { Credentials } from "../access/credentials.ts";
import { ROLES } from "../access/roles.ts";
import type { Clock } from "../kernel/clock.ts";
import { invalidField } from "../kernel/errors.ts";
import { pageRequest, tokenFromCursor } from "../kernel/page.ts";
import { certificateOf } from "./client-certificate.ts";
import { given, knownEnum, notFound, requiredId, timeRange, wholeMs } from "./fields.ts";
import { principalOf } from "./gate.ts";

export interface KeyCallsDeps {
  readonly credentials: Credentials;
  readonly certificates: Certificates;
  readonly auditRecords: Pick<AuditStore, "listAudit">;
  readonly clock: Clock;
}

type Served =
  | "createKey"
  | "listKeys"
  | "revokeKey"
  | "bindKeyCertificate"
  | "unbindKeyCertificate"
  | "createPortalSession"
  | "listPortalSessions"
  | "revokePortalSession"
  | "listAuditRecords";

type Calls = Pick<ServiceImpl<typeof AccessService>, Served>;

export function keyCalls({ credentials, certificates, auditRecords, clock }: KeyCallsDeps): Calls {
  return {
    async createKey({ key }, context) {
      const made = await credentials.createKey(principalOf(context).tenant, {
        role: ROLE_OF[knownEnum(WireRole, key?.role ?? WireRole.UNSPECIFIED, "key.role")],
        environment: key?.environment ?? "",
        description: key?.description ?? "",
        ...expiryOf(key?.expiresAt),
      });
      return { key: keyMessage(made.record), secret: made.text };
    },

    async listKeys({ pageSize, pageToken }, context) {
      const { tenant } = principalOf(context);
      const page = await credentials.listKeys(tenant, pageRequest(pageSize, pageToken));
      const ids = page.items.map(({ id }) => id);
      const bound = await certificates.listed(tenant, ids);
      const keys = page.items.map((key) => keyMessage(key, bound.get(key.id)));
      return { keys, nextPageToken: tokenFromCursor(page.next) };
    },

    async revokeKey({ id }, context) {
      const isThere = await credentials.revokeKey(principalOf(context).tenant, requiredId(id));
      if (!isThere) throw notFound("key", id);
      return {};
    },

    async bindKeyCertificate({ id, certificate, signedAt, signature }, context) {
      const shown = certificateOf(context, clock.now());
      const signedAtMs = signedAt === undefined ? undefined : timestampMs(signedAt);
      const possession = { shown, signature, signedAtMs };
      const bound = await certificates.bind(principalOf(context).tenant, requiredId(id), certificate, possession);
      return { key: boundMessage(bound, id) };
    },

    async unbindKeyCertificate({ id, fingerprint }, context) {
      const bound = await certificates.unbind(principalOf(context).tenant, requiredId(id), fingerprint);
      if (bound === undefined) throw notFound("certificate", fingerprint);
      return { key: boundMessage(bound, id) };
    },

    async createPortalSession({ entityId, lifetime }, context) {
      const asked = { entityId, ...(lifetime !== undefined && { lifetimeMs: wholeMs(lifetime) }) };
      const { record, text } = await credentials.createSession(principalOf(context).tenant, asked);
      return { session: sessionMessage(record), token: text };
    },

    async listPortalSessions({ pageSize, pageToken }, context) {
      const page = await credentials.listSessions(principalOf(context).tenant, pageRequest(pageSize, pageToken));
      return { sessions: page.items.map(sessionMessage), nextPageToken: tokenFromCursor(page.next) };
    },

    async revokePortalSession({ id }, context) {
      const isThere = await credentials.revokeSession(principalOf(context).tenant, requiredId(id));
      if (!isThere) throw notFound("portal session", id);
      return {};
    },

    async listAuditRecords(request, context) {
      const asked = pageRequest(request.pageSize, request.pageToken);
      const page = await auditRecords.listAudit(principalOf(context).tenant, filterOf(request), asked);
      return { records: page.items.map(auditMessage), nextPageToken: tokenFromCursor(page.next) };
    },
  };
}

const ROLE_OF: Readonly<Record<WireRole, Role | undefined>> = {
  [WireRole.UNSPECIFIED]: undefined,
  [WireRole.ADMIN]: "admin",
  [WireRole.OPERATOR]: "operator",
  [WireRole.PUBLISHER]: "publisher",
  [WireRole.SUBSCRIBER]: "subscriber",
  [WireRole.VIEWER]: "viewer",
};

export function wireRole(role: Role): WireRole {
  return ROLES.indexOf(role) + 1;
}

function expiryOf(expiresAt: Timestamp | undefined): { readonly expiresAtMs?: number } {
  if (expiresAt === undefined) return {};
  const expiresAtMs = timestampMs(expiresAt);
  if (!Number.isSafeInteger(Math.round(expiresAtMs)))
    throw invalidField("key.expires_at", "must lie in the years 1 to 9999");
  return { expiresAtMs: Math.floor(expiresAtMs) };
}

function filterOf(request: ListAuditRecordsRequest): AuditFilter {
  const [actor, action, target] = [given(request.actor), given(request.action), given(request.target)];
  return {
    ...(actor !== undefined && { actor }),
    ...(action !== undefined && { action }),
    ...(target !== undefined && { target }),
    ...(request.refused !== undefined && { refused: request.refused }),
    ...timeRange(request),
  };
}

function boundMessage(bound: Bound, id: string): MessageInitShape<typeof KeySchema> {
  if (bound === "noKey") throw notFound("key", id);
  return keyMessage(bound.key, bound.certificates);
}

function keyMessage(key: KeyRecord, certificates: readonly string[] = []): MessageInitShape<typeof KeySchema> {
  const { expiresAtMs, revokedAtMs, lastUsedAtMs } = key;
  return {
    id: key.id,
    role: wireRole(key.role),
    environment: key.tenant.environment,
    description: key.description ?? "",
    certificateFingerprints: [...certificates],
    createdAt: timestampFromMs(key.createdAtMs),
    ...(expiresAtMs !== undefined && { expiresAt: timestampFromMs(expiresAtMs) }),
    ...(lastUsedAtMs !== undefined && { lastUsedAt: timestampFromMs(lastUsedAtMs) }),
    ...(revokedAtMs !== undefined && { revokedAt: timestampFromMs(revokedAtMs) }),
  };
}

function sessionMessage(session: SessionRecord): MessageInitShape<typeof PortalSessionSchema> {
  const { id, entityId, createdAtMs, expiresAtMs, revokedAtMs } = session;
  return {
    id,
    entityId,
    createdAt: timestampFromMs(createdAtMs),
    expiresAt: timestampFromMs(expiresAtMs),
    ...(revokedAtMs !== undefined && { revokedAt: timestampFromMs(revokedAtMs) }),
  };
}

function auditMessage(record: AuditRecord): MessageInitShape<typeof AuditRecordSchema> {
  const { id, timeMs, actor, action, target, peer, refused, code, count } = record;
  return { id, time: timestampFromMs(timeMs), actor, action, target, peer, refused, code, count: BigInt(count) };
}
