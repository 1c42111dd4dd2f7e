/**
 * What a person who uses the demo's dashboard brings about, so that the demo doesn't take it for a fault of passbus. The
 * audit log says what was changed, and a delivery says whose it is. Pure.
 */

/** What people have changed since the demo began. */
export interface Interventions {
  /** Endpoints whose subscription was changed, disabled, rotated or deleted: what they get is not judged any more. */
  readonly endpoints: ReadonlySet<string>;
  /** Ids of deliveries that were cancelled. */
  readonly deliveries: ReadonlySet<string>;
  /** Deliveries were stopped, limits set, a pass erased: anything may be late, or gone. */
  readonly everything: boolean;
}

export const NOBODY_MEDDLED: Interventions = { endpoints: new Set(), deliveries: new Set(), everything: false };

/** One of the demo's own subscriptions. */
export interface OwnSubscription {
  readonly name: string;
  readonly subscriptionId: string;
}

/** A change that the audit log tells of: the call, "passbus.v1.SubscriptionService/RotateSecret", and what it was about. */
export interface AuditedCall {
  readonly action: string;
  readonly target: string;
}

/** Calls about a subscription that leave it as it is. */
const HARMLESS = new Set(["CreateSubscription", "TestSubscription", "getSinkSubscription"]);
/** Calls whose reach is wider than one subscription or delivery. */
const FAR_REACHING = new Set(["SetDeliverySwitch", "SetLimits", "ErasePass", "DeleteOrganisation"]);

/** `calls`: those that were not refused. */
export function interventionsOf(calls: readonly AuditedCall[], own: readonly OwnSubscription[]): Interventions {
  const told = calls.map(({ action, target }) => ({ call: action.split("/").at(-1) ?? "", target }));
  const changed = new Set(told.filter(({ call }) => !HARMLESS.has(call)).map(({ target }) => target));
  return {
    endpoints: new Set(own.filter(({ subscriptionId }) => changed.has(subscriptionId)).map(({ name }) => name)),
    deliveries: new Set(told.filter(({ call }) => call === "CancelDelivery").map(({ target }) => target)),
    everything: told.some(({ call }) => FAR_REACHING.has(call)),
  };
}

/** Whose a webhook is, as its delivery has it. */
export interface DeliveryOrigin {
  readonly subscriptionId: string;
  readonly eventId: string;
  readonly run: number;
  /** Empty where no replay made it due. */
  readonly replayId: string;
}

/** Whether the demo can't have expected it: another subscription's, an event that somebody else published, or sent again. */
export function isSomebodyElses(
  origin: DeliveryOrigin,
  own: readonly OwnSubscription[],
  isPublished: (eventId: string) => boolean,
): boolean {
  const { subscriptionId, eventId, run, replayId } = origin;
  const isOurs = own.some((each) => each.subscriptionId === subscriptionId) && isPublished(eventId);
  return !isOurs || run > 1 || replayId !== "";
}
