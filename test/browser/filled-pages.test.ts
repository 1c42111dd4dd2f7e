/** What holds for every page that has something to show, ids as issuers have them and values as long as a form takes. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { browser, type Stage } from "../support/browser.ts";
import { EVENT_IDS, FilledStage, LONG, makeLongThings, PASS_IDS, type Things } from "../support/dashboard-things.ts";

const LIMIT_MS = 240_000;

/** Each page's address, and text that is there when what it shows has come. */
type Sheet = readonly [path: string, text: string];

describe.skipIf(!browser.present)(browser.title("a page that has something to show"), () => {
  let filled: FilledStage;
  let stage: Stage;
  let things: Things;
  let long: Pick<Things, "subscription" | "delivery">;
  beforeAll(async () => {
    filled = await FilledStage.open();
    ({ stage, things } = filled);
    long = await makeLongThings(stage, filled.sink);
  }, LIMIT_MS);
  afterAll(() => filled?.[Symbol.asyncDispose]());

  async function offencesOf(sheets: readonly Sheet[]): Promise<Readonly<Record<string, unknown>>> {
    await using visit = await stage.signedIn("/access/limits");
    const found: Record<string, unknown> = {};
    for (const [path, text] of sheets) {
      await visit.open(path);
      await visit.page.getByRole("main").getByText(text).first().waitFor();
      await visit.settled();
      const offences = await visit.offencesInAllLooks();
      if (Object.keys(offences).length > 0) found[path] = offences;
    }
    return found;
  }

  it(
    "has no offence that axe finds, in both themes, at 1280 and 390 px",
    async () => {
      const found = await offencesOf([
        ["/deliveries", PASS_IDS[0]],
        ["/events", EVENT_IDS[1]],
        ["/replays", things.replay],
        ["/dead-letters", "Send again"],
        [`/events/${EVENT_IDS[0]}`, things.delivery],
        [`/passes/${PASS_IDS[0]}`, "webhook"],
        [`/deliveries/${things.delivery}`, EVENT_IDS[0]],
        ["/inspector", things.bin],
        [`/inspector/${things.bin}`, things.bin],
      ]);
      expect(found).toEqual({});
    },
    LIMIT_MS,
  );

  it(
    "has none either, and is no wider than its window, where nothing breaks what it shows",
    async () => {
      const { subscription, delivery } = long;
      const found = await offencesOf([
        ["/", LONG.description],
        ["/subscriptions", LONG.description],
        [`/subscriptions/${subscription}`, LONG.entityId],
        [`/subscriptions/${subscription}/edit`, "Save the changes"],
        ["/deliveries", LONG.passId],
        [`/deliveries/${delivery}`, LONG.eventId],
        ["/events", LONG.eventId],
        [`/events/${LONG.eventId}`, "the event itself: a dead letter"],
        ["/dead-letters", "Send again"],
        [`/passes/${LONG.passId}`, "webhook"],
      ]);
      expect(found).toEqual({});
    },
    LIMIT_MS,
  );
});
