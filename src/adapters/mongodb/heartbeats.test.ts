import { expect, test } from "vitest";
import { settled } from "../../../test/support/settled.ts";
import { MongoHeartbeats } from "./heartbeats.ts";
import { Tokens } from "./tokens.ts";
import type { Wire } from "./wire.ts";

/** One document at most, and answers that come when the test lets them. */
function setup() {
  let isThere = false;
  const answers: (() => void)[] = [];
  const answered = <T>(value: T) => new Promise<T>((resolve) => answers.push(() => resolve(value)));
  const wire = {
    update: () => answered(isThere ? 1 : 0),
    insert: () => {
      const taken = isThere ? [0] : [];
      isThere = true;
      return answered(taken);
    },
  };
  const heartbeats = new MongoHeartbeats(wire as unknown as Wire, new Tokens());
  const answer = async (place: number) => {
    answers.splice(place, 1)[0]?.();
    await settled();
  };
  const end = () => {
    isThere = false;
  };
  return { heartbeats, answer, end, open: answers };
}

test("a look that was before the document, and is answered after it was begun, is no death", async () => {
  const { heartbeats, answer, open } = setup();
  const [first, second] = [heartbeats.beat(), heartbeats.beat()];
  // The first looks and begins; the second's look, as early, is heard of late.
  await answer(0);
  await answer(1);
  expect(await first).toBe(1);
  while (open.length > 0) await answer(0);
  expect(await second).toBe(1);
});

test("one that is not found any more goes on in another life, once for beats that are under way together", async () => {
  const { heartbeats, answer, end, open } = setup();
  const begun = heartbeats.beat();
  while (open.length > 0) await answer(0);
  expect(await begun).toBe(1);
  end();
  const both = Promise.all([heartbeats.beat(), heartbeats.beat()]);
  while (open.length > 0) await answer(0);
  expect(await both).toEqual([2, 2]);
});
