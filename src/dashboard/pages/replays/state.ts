import { ReplayState } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import type { Tone } from "../../words.ts";

/** What the states of replays are called. */
export const REPLAY_STATE: Readonly<Record<ReplayState, readonly [name: string, tone: Tone]>> = {
  [ReplayState.UNSPECIFIED]: ["unknown", "calm"],
  [ReplayState.RUNNING]: ["running", "busy"],
  [ReplayState.PAUSED]: ["paused", "warn"],
  [ReplayState.FINISHED]: ["finished", "good"],
  [ReplayState.CANCELLED]: ["cancelled", "calm"],
};
