import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { MembershipEventId } from "../../gen/io/integrations_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format, State } from "../../gen/passbus/v1/subscription_pb.js";
import { ListSubscriptionsRequestSchema, Scope } from "../../gen/passbus/v1/subscription_service_pb.js";
import { sampleSubscription } from "../../test/support/samples.ts";
import { refusal, subscriptionsRoom, tenant } from "../../test/support/subscriptions.ts";
import type { Subscription } from "../domain/subscription.ts";
import { LIMITS } from "../kernel/limits.ts";
import { type Page, tokenFromCursor } from "../kernel/page.ts";
import { matchingPage } from "./list-filter.ts";

type Ask = MessageInitShape<typeof ListSubscriptionsRequestSchema>;

async function stage() {
  const { add, service } = subscriptionsRoom();
  const make = async (name: string, init: Parameters<typeof add>[0]) =>
    [(await add({ url: `https://${name}.example/`, ...init })).subscription.id, name] as const;
  const names = new Map([
    await make("all", { labels: { team: "ops", tier: "1" } }),
    await make("created", { eventTypes: [PassEventType.CREATED], description: "Läden NORD" }),
    await make("passentry", { format: Format.PASSENTRY, entityId: "shop", labels: { team: "ops" } }),
    await make("ethpass", { format: Format.ETHPASS, entityId: "club", state: State.DISABLED }),
    await make("members", { membershipEvents: [MembershipEventId.MEMBER_EVENT_ENROLLED], labels: { team: "crm" } }),
  ]);
  const list = (ask: Ask) => service.list(tenant, create(ListSubscriptionsRequestSchema, ask));
  const named = (page: Page<Subscription>) => page.items.map(({ id }) => names.get(id));
  return { list, named, ids: [...names.keys()] };
}

describe("a list is narrowed", () => {
  test.each<[string, Ask, readonly string[]]>([
    ["by a label and its value", { labels: { team: "ops" } }, ["passentry", "all"]],
    ["by several labels, all of which hold", { labels: { team: "ops", tier: "1" } }, ["all"]],
    ["by a label that an object has by nature", { labels: { constructor: "x" } }, []],
    [
      "by an event type that is named, or that the format can say where none is",
      { eventType: PassEventType.CREATED },
      ["ethpass", "passentry", "created", "all"],
    ],
    ["by one that few formats can say", { eventType: PassEventType.UPDATED }, ["all"]],
    ["to the organisation's own", { scope: Scope.ORGANISATION }, ["members", "created", "all"]],
    ["to entities'", { scope: Scope.ENTITY }, ["ethpass", "passentry"]],
    ["to one entity's", { scope: Scope.ENTITY, entityId: "shop" }, ["passentry"]],
    ["by a text in the description, in whatever case", { text: "läden nord" }, ["created"]],
    ["by a text in the URL", { text: "HTTPS://PASS" }, ["passentry"]],
    ["by a text in the entity", { text: "lub" }, ["ethpass"]],
    ["by a text in a label", { text: "crm" }, ["members"]],
    ["by several things at once", { text: "example", state: State.DISABLED, scope: Scope.ENTITY }, ["ethpass"]],
  ])("%s", async (_, ask, expected) => {
    const { list, named } = await stage();
    expect(named(await list(ask))).toEqual(expected);
  });

  test("by a text in the id", async () => {
    const { list, named, ids } = await stage();
    expect(named(await list({ text: ids[1]?.slice(-8) ?? "" }))).toEqual(["created"]);
  });

  test("page by page, each where the one before ended", async () => {
    const { list, named } = await stage();
    const ask: Ask = { eventType: PassEventType.CREATED, pageSize: 1 };
    const pages: (readonly (string | undefined)[])[] = [];
    for (let pageToken: string | undefined = ""; pageToken !== undefined; ) {
      const page: Page<Subscription> = await list({ ...ask, pageToken });
      pages.push(named(page));
      pageToken = page.next === undefined ? undefined : tokenFromCursor(page.next);
    }
    expect(pages.flat()).toEqual(["ethpass", "passentry", "created", "all"]);
    for (const page of pages) expect(page.length).toBeLessThanOrEqual(1);
  });

  test("and what is no value is refused by name", async () => {
    const { list } = await stage();
    const labels = Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`l${at}`, ""]));
    const wrong: Ask = { scope: 9 as Scope, eventType: 99 as PassEventType, labels, text: "x".repeat(2_049) };
    expect((await refusal(list(wrong))).violations.map(({ field }) => field)).toEqual([
      "scope",
      "labels",
      "event_type",
      "text",
    ]);
    const none = await refusal(list({ scope: Scope.ORGANISATION, entityId: "shop" }));
    expect(none.message).toBe("scope: SCOPE_ORGANISATION has no subscription of an entity");
  });
});

describe("a page of those that match", () => {
  /** As a store has them: `count` subscriptions, the newest first. */
  function many(count: number) {
    const all = Array.from({ length: count }, (_, at) => sampleSubscription({ id: `s${at}`, createdAtMs: count - at }));
    let read = 0;
    const list: Parameters<typeof matchingPage>[0] = async ({ size, after }) => {
      const from = after === undefined ? 0 : all.findIndex(({ id }) => id === after.id) + 1;
      const items = all.slice(from, from + size);
      read += items.length;
      const last = items.at(-1);
      if (last === undefined || from + size >= count) return { items };
      return { items, next: { timeMs: last.createdAtMs, id: last.id } };
    };
    return { list, read: () => read };
  }

  test("is cut short where it would have to look at too many, and goes on from there", async () => {
    const { list, read } = many(LIMITS.listedSubscriptions + 700);
    const oldest = `s${LIMITS.listedSubscriptions + 699}`;
    const first = await matchingPage(list, { size: 10 }, ({ id }) => id === oldest);
    expect(first.items).toEqual([]);
    expect(read()).toBe(LIMITS.listedSubscriptions);
    expect(first.next).toBeDefined();
    const rest = await matchingPage(
      list,
      { size: 10, ...(first.next && { after: first.next }) },
      ({ id }) => id === oldest,
    );
    expect(rest.items.map(({ id }) => id)).toEqual([oldest]);
    expect(rest.next).toBeUndefined();
  });

  test("that ends with the last one has none behind it", async () => {
    const { list } = many(4);
    expect((await matchingPage(list, { size: 2 }, ({ id }) => id === "s1" || id === "s3")).next).toBeUndefined();
    expect((await matchingPage(list, { size: 2 }, () => true)).next).toEqual({ timeMs: 3, id: "s1" });
  });
});
