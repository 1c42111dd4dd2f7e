/** The calls of passbus.v1.DeliveryService on replays: jobs that send again what was sent before. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type CreateReplayRequest,
  type DeliveryService,
  type ReplaySchema,
  ReplayState as WireState,
} from "../../gen/passbus/v1/delivery_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import {
  matchedOf,
  type Replay,
  type ReplayChange,
  type ReplayProgress,
  type ReplayState,
} from "../delivery/replay.ts";
import type { ReplayDraft, Replays } from "../delivery/replays.ts";
import { EVENT_TYPES } from "../domain/event.ts";
import { invalidField } from "../kernel/errors.ts";
import { pageRequest, tokenFromCursor } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";
import { statusOf, WIRE_STATUS } from "./delivery-status.ts";
import { given, knownEnum, notFound, requiredId, timeRange } from "./fields.ts";
import { principalOf } from "./gate.ts";
import type { Streams } from "./streams.ts";

export interface ReplayCallsDeps {
  readonly replays: Replays;
  readonly streams: Streams;
}

type Served =
  | "createReplay"
  | "getReplay"
  | "listReplays"
  | "pauseReplay"
  | "resumeReplay"
  | "cancelReplay"
  | "watchReplay";

export function replayCalls({ replays, streams }: ReplayCallsDeps): Pick<ServiceImpl<typeof DeliveryService>, Served> {
  const change = async (tenant: Tenant, id: string, to: ReplayChange) => {
    const replay = await replays.change(tenant, requiredId(id), to);
    if (replay === undefined) throw notFound("replay", id);
    return { replay: replayMessage(replay, await replays.progress(tenant, id)) };
  };
  return {
    async createReplay(request, context) {
      const { tenant } = principalOf(context);
      const draft = draftOf(request);
      const { signal } = context;
      const made = request.dryRun ? replays.dryRun(tenant, draft, signal) : replays.create(tenant, draft, signal);
      const replay = await made;
      return { replay: replayMessage(replay) };
    },

    async getReplay({ id }, context) {
      const { tenant } = principalOf(context);
      const replay = await replays.get(tenant, requiredId(id));
      if (replay === undefined) throw notFound("replay", id);
      return { replay: replayMessage(replay, await replays.progress(tenant, id)) };
    },

    async listReplays({ pageSize, pageToken }, context) {
      const { tenant } = principalOf(context);
      const { items, next } = await replays.list(tenant, pageRequest(pageSize, pageToken));
      return { replays: items.map((replay) => replayMessage(replay)), nextPageToken: tokenFromCursor(next) };
    },

    pauseReplay: ({ id }, context) => change(principalOf(context).tenant, id, "pause"),
    resumeReplay: ({ id }, context) => change(principalOf(context).tenant, id, "resume"),
    cancelReplay: ({ id }, context) => change(principalOf(context).tenant, id, "cancel"),

    async *watchReplay({ id }, context) {
      const { tenant } = principalOf(context);
      if ((await replays.get(tenant, requiredId(id))) === undefined) throw notFound("replay", id);
      for await (const told of streams.run(context, (signal) => replays.watch(tenant, id, signal))) {
        yield { replay: replayMessage(told.replay, told.progress) };
      }
    },
  };
}

function draftOf({ replay }: CreateReplayRequest): ReplayDraft {
  const filter = replay?.filter;
  const [subscriptionId, passId] = [given(filter?.subscriptionId ?? ""), given(filter?.passId ?? "")];
  const status = statusOf(filter?.status ?? 0, "replay.filter.status");
  const eventTypes = (filter?.eventTypes ?? []).map((type, at) => {
    const field = `replay.filter.event_types[${at}]`;
    if (type === PassEventType.UNSPECIFIED) throw invalidField(field, "must name a type");
    return knownEnum(PassEventType, type, field);
  });
  if (eventTypes.length > EVENT_TYPES.length) throw invalidField("replay.filter.event_types", "names a type twice");
  const target = given(replay?.targetSubscriptionId ?? "");
  return {
    filter: {
      eventTypes,
      ...(subscriptionId !== undefined && { subscriptionId }),
      ...(passId !== undefined && { passId }),
      ...(status !== undefined && { status }),
      ...timeRange(filter ?? {}, "replay.filter."),
    },
    ...(target !== undefined && { targetSubscriptionId: target }),
    ratePerSecond: replay?.ratePerSecond ?? 0,
    freshIds: replay?.freshIds ?? false,
  };
}

const WIRE_STATE: Readonly<Record<ReplayState, WireState>> = {
  running: WireState.RUNNING,
  paused: WireState.PAUSED,
  finished: WireState.FINISHED,
  cancelled: WireState.CANCELLED,
};

const NONE: ReplayProgress = { pending: 0, delivered: 0, failed: 0 };

function replayMessage(replay: Replay, progress: ReplayProgress = NONE): MessageInitShape<typeof ReplaySchema> {
  return {
    id: replay.id,
    filter: filterMessage(replay),
    targetSubscriptionId: replay.targetSubscriptionId ?? "",
    ratePerSecond: replay.ratePerSecond,
    freshIds: replay.freshIds,
    state: replay.id === "" ? WireState.UNSPECIFIED : WIRE_STATE[replay.state],
    matched: BigInt(matchedOf(replay)),
    matchedAtLeast: !isWhollyMatched(replay),
    sent: BigInt(replay.sent),
    skipped: BigInt(replay.skipped),
    pending: BigInt(progress.pending),
    delivered: BigInt(progress.delivered),
    failed: BigInt(progress.failed),
    createdAt: timestampFromMs(replay.createdAtMs),
    ...(replay.finishedAtMs !== undefined && { finishedAt: timestampFromMs(replay.finishedAtMs) }),
  };
}

/** At the end everything was looked at. */
function isWhollyMatched({ isWhollyCounted, isAtEnd }: Replay): boolean {
  return isWhollyCounted || isAtEnd;
}

function filterMessage({ filter }: Replay) {
  const { subscriptionId = "", eventTypes, passId = "", status, fromMs, toMs } = filter;
  return {
    subscriptionId,
    eventTypes: [...eventTypes],
    passId,
    ...(status !== undefined && { status: WIRE_STATUS[status] }),
    ...(fromMs !== undefined && { startTime: timestampFromMs(fromMs) }),
    endTime: timestampFromMs(toMs),
  };
}
