/** EventService.ExplainEvent: why there is a webhook, or why there is none, from what is stored. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { EventService, ExplanationSchema } from "../../gen/passbus/v1/event_service_pb.js";
import type { DeliveryLog } from "../delivery/delivery-store.ts";
import { type Explanation, explainEvent, unknownSubscription } from "../delivery/explain.ts";
import { decodeStored } from "../domain/decoded-event.ts";
import { type Delivery, deliveryId } from "../domain/delivery.ts";
import type { StoredEvent } from "../domain/event.ts";
import { formatOf } from "../formats/registry.ts";
import { RECORD_HEADERS } from "../intake/content-type.ts";
import type { DeadLetterStore, KeptDeadLetter } from "../intake/dead-letters.ts";
import { LIMITS } from "../kernel/limits.ts";
import { nextTurn } from "../kernel/next-turn.ts";
import type { Cursor } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";
import { type Explain, matchExplainer } from "../matching/explain.ts";
import type { SubscriptionFeed } from "../matching/subscription-feed.ts";
import { eventMessage } from "./event-message.ts";
import { notFound, requiredId } from "./fields.ts";
import { principalOf } from "./gate.ts";

export interface ExplainCallsDeps {
  readonly deliveryLog: Pick<DeliveryLog, "getEvent" | "getDelivery" | "listDeliveries">;
  readonly feed: Pick<SubscriptionFeed, "load">;
  readonly deadLetters: Pick<DeadLetterStore, "list">;
}

type ExplanationMessage = MessageInitShape<typeof ExplanationSchema>;

/** Dead letters that are looked through for an event's id: no store finds them by it. */
const LOOKED_THROUGH = 500;
const LOOK_PAGE = 100;
/** Explanations of dead letters beside those of a stored event's deliveries and subscriptions, which they are not to hide. */
const DEAD_BESIDE = 20;
/** A shorter id may stand in a value by chance. */
const TELLING_ID = 8;

export function explainCalls(deps: ExplainCallsDeps): Pick<ServiceImpl<typeof EventService>, "explainEvent"> {
  return {
    async explainEvent({ eventId, subscriptionId }, context) {
      const { tenant, entityId } = principalOf(context);
      const id = requiredId(eventId, "event_id");
      const [stored, dead] = await Promise.all([
        deps.deliveryLog.getEvent({ tenant, id }),
        // A dead letter is the organisation's.
        entityId === undefined ? deadExplanations(deps.deadLetters, tenant, id) : [],
      ]);
      if (stored === undefined) {
        if (dead.length === 0) throw notFound("event", id, "event_id");
        return { explanations: dead.slice(0, LIMITS.pageSize), truncated: dead.length > LIMITS.pageSize };
      }
      const beside = dead.slice(0, DEAD_BESIDE);
      const space = LIMITS.pageSize - beside.length;
      const found =
        subscriptionId === ""
          ? await explainAll(deps, stored, space, context.signal)
          : await explainOne(deps, stored, subscriptionId);
      return {
        explanations: [...beside, ...found.slice(0, space)],
        event: eventMessage(stored),
        truncated: dead.length > beside.length || found.length > space,
      };
    },
  };
}

/** One more than there is space for, where there are more. */
async function explainAll(
  deps: ExplainCallsDeps,
  stored: StoredEvent,
  space: number,
  signal: AbortSignal,
): Promise<readonly Explanation[]> {
  const [{ subscriptions }, deliveries] = await Promise.all([
    deps.feed.load(stored.tenant),
    deliveriesOf(deps.deliveryLog, stored, space),
  ]);
  const found: Explanation[] = [];
  for (const each of explainEvent({ event: decodeStored(stored), deliveries, subscriptions }, newExplainer())) {
    found.push(each);
    if (found.length > space) break;
    // A filter may cost milliseconds, and the other calls are on this thread.
    await nextTurn();
    signal.throwIfAborted();
  }
  return found;
}

function newExplainer(): Explain {
  return matchExplainer({ typesOf: (format) => formatOf(format).types });
}

/**
 * All, or more than there is space for: a subscription whose delivery were left out would seem to have none. There is one
 * a subscription at most.
 */
async function deliveriesOf(
  log: Pick<DeliveryLog, "listDeliveries">,
  { tenant, id: eventId }: StoredEvent,
  space: number,
): Promise<readonly Delivery[]> {
  const deliveries: Delivery[] = [];
  let after: Cursor | undefined;
  do {
    const page = { size: LIMITS.pageSize, ...(after !== undefined && { after }) };
    const { items, next } = await log.listDeliveries(tenant, { eventId }, page);
    deliveries.push(...items);
    after = next;
  } while (after !== undefined && deliveries.length <= space);
  return deliveries;
}

async function explainOne(
  deps: ExplainCallsDeps,
  stored: StoredEvent,
  subscriptionId: string,
): Promise<readonly Explanation[]> {
  const { tenant } = stored;
  const [{ subscriptions }, delivery] = await Promise.all([
    deps.feed.load(tenant),
    deps.deliveryLog.getDelivery(tenant, deliveryId(stored, subscriptionId)),
  ]);
  const event = decodeStored(stored);
  const about = subscriptions.find(({ id }) => id === event.event.operationalEvent?.subscriptionId);
  const evidence = {
    event,
    ...(about !== undefined && { about }),
    deliveries: delivery === undefined ? [] : [delivery],
    subscriptions: subscriptions.filter(({ id }) => id === subscriptionId),
  };
  const found = [...explainEvent(evidence, newExplainer())];
  return found.length === 0 ? [unknownSubscription(subscriptionId)] : found;
}

/** What the newest dead letters say of an event's id: by their header, or somewhere in their value. */
async function deadExplanations(
  letters: Pick<DeadLetterStore, "list">,
  tenant: Tenant,
  id: string,
): Promise<ExplanationMessage[]> {
  const found: ExplanationMessage[] = [];
  let after: Cursor | undefined;
  for (let seen = 0; seen < LOOKED_THROUGH; ) {
    const page = await letters.list(tenant, {}, { size: LOOK_PAGE, ...(after !== undefined && { after }) });
    for (const letter of page.items) {
      if (isAbout(letter, id)) {
        found.push({ reason: letter.reason, message: `the dead letter ${letter.id}: ${letter.message}` });
      }
    }
    seen += page.items.length;
    after = page.next;
    if (after === undefined) break;
  }
  return found;
}

function isAbout({ record }: KeptDeadLetter, id: string): boolean {
  const named = record.headers[RECORD_HEADERS.event];
  if (named !== undefined) return named === id;
  if (record.value === null || id.length < TELLING_ID) return false;
  return Buffer.from(record.value.buffer, record.value.byteOffset, record.value.byteLength).includes(id);
}
