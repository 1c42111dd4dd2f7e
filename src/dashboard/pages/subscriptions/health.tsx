import {
  DisabledReason,
  EndpointCondition,
  State,
  type Subscription,
} from "../../../../gen/passbus/v1/subscription_pb.js";
import { Badge } from "../../parts/badge.tsx";
import { CONDITION } from "../../words.ts";

const DISABLED: Readonly<Record<DisabledReason, string>> = {
  [DisabledReason.UNSPECIFIED]: "disabled",
  [DisabledReason.REQUESTED]: "paused",
  [DisabledReason.GONE]: "disabled: answered 410 Gone",
  [DisabledReason.FAILING]: "disabled: failed for days",
};

/** Whether it receives, and how it has been doing, in a word. */
export function Health({ subscription }: { readonly subscription: Subscription }) {
  const { state, disabledReason, health } = subscription;
  if (state === State.DISABLED) {
    return (
      <Badge tone={disabledReason === DisabledReason.REQUESTED ? "calm" : "bad"}>{DISABLED[disabledReason]}</Badge>
    );
  }
  const attempted = health?.lastSuccessAt !== undefined || health?.lastFailureAt !== undefined;
  const [name, tone] = CONDITION[attempted ? (health?.condition ?? 0) : EndpointCondition.UNSPECIFIED];
  return <Badge tone={tone}>{name}</Badge>;
}
