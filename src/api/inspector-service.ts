/** passbus.v1.InspectorService: request bins of our own. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type BinRequestSchema,
  type BinSchema,
  type InspectorService,
  SignatureVerdict,
} from "../../gen/passbus/v1/inspector_service_pb.js";
import type { Grant } from "../access/access-store.ts";
import { mayCall } from "../access/roles.ts";
import type { Bin } from "../inspector/bin-store.ts";
import type { BinRequest, Bins } from "../inspector/bins.ts";
import type { Verdict } from "../inspector/signature-check.ts";
import { invalidField } from "../kernel/errors.ts";
import { pageRequest, tokenFromCursor } from "../kernel/page.ts";
import { requiredId, wholeMs } from "./fields.ts";
import { principalOf } from "./gate.ts";
import type { Streams } from "./streams.ts";

export interface InspectorServiceDeps {
  readonly bins: Bins;
  readonly streams: Streams;
}

export function inspectorService({ bins, streams }: InspectorServiceDeps): ServiceImpl<typeof InspectorService> {
  const message = (bin: Bin): MessageInitShape<typeof BinSchema> => ({
    id: bin.id,
    url: bins.urlOf(bin.id),
    createdAt: timestampFromMs(bin.createdAtMs),
    expiresAt: timestampFromMs(bin.expiresAtMs),
    statusCode: bin.statusCode,
    description: bin.description,
  });
  return {
    async createBin({ statusCode, lifetime, description }, context) {
      const { tenant } = principalOf(context);
      return { bin: message(await bins.create(tenant, { statusCode, lifetimeMs: lifetimeMs(lifetime), description })) };
    },
    async getBin({ binId }, context) {
      return { bin: message(await bins.get(principalOf(context).tenant, requiredId(binId, "bin_id"))) };
    },
    async listBins({ pageSize, pageToken }, context) {
      const { items, next } = await bins.list(principalOf(context).tenant, pageRequest(pageSize, pageToken));
      return { bins: items.map(message), nextPageToken: tokenFromCursor(next) };
    },
    async deleteBin({ binId }, context) {
      await bins.delete(principalOf(context).tenant, requiredId(binId, "bin_id"));
      return {};
    },
    async listBinRequests({ binId, pageSize, pageToken }, context) {
      const { tenant, role } = principalOf(context);
      const page = pageRequest(pageSize, pageToken);
      const { items, next } = await bins.requests(tenant, requiredId(binId, "bin_id"), page);
      return {
        requests: items.map((request) => requestMessage(request, role)),
        nextPageToken: tokenFromCursor(next),
      };
    },
    async *watchBin({ binId, afterRequestId }, context) {
      const { tenant, role } = principalOf(context);
      const id = requiredId(binId, "bin_id");
      for await (const request of streams.run(context, (signal) => bins.watch(tenant, id, afterRequestId, signal))) {
        yield request === undefined ? {} : { request: requestMessage(request, role) };
      }
    },
  };
}

const VERDICTS: Readonly<Record<Verdict, SignatureVerdict>> = {
  valid: SignatureVerdict.VALID,
  invalid: SignatureVerdict.INVALID,
  unknown: SignatureVerdict.UNKNOWN,
};

function requestMessage(request: BinRequest, role: Grant): MessageInitShape<typeof BinRequestSchema> {
  const { id, receivedAtMs, method, body, path, statusCode, verdictReason, fromPassbus } = request;
  return {
    ...{ id, method, path, statusCode, verdictReason, fromPassbus },
    receivedAt: timestampFromMs(receivedAtMs),
    headers: shownHeaders(request.headers, role),
    body: new Uint8Array(body),
    verdict: VERDICTS[request.verdict],
    checks: request.checks.map((check) => ({ ...check, verdict: VERDICTS[check.verdict] })),
  };
}

/** A static authorization is a secret: it is shown to those who could have set it. */
function shownHeaders(headers: Readonly<Record<string, string>>, role: Grant): Record<string, string> {
  const mayKnow = mayCall(role, "passbus.v1.SubscriptionService/CreateSubscription");
  return mayKnow || headers.authorization === undefined ? { ...headers } : { ...headers, authorization: "" };
}

function lifetimeMs(lifetime: Duration | undefined): number | undefined {
  if (lifetime === undefined) return undefined;
  const ms = wholeMs(lifetime);
  if (!Number.isSafeInteger(ms)) throw invalidField("lifetime", "must be a span of time");
  return ms;
}
