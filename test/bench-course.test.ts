import { expect, test } from "vitest";
import { Course } from "../bench/course.ts";

function setUp(isTTY: boolean) {
  const written: string[] = [];
  return { course: new Course({ isTTY, write: (text) => written.push(text) }), written };
}

test("a terminal gets a bar that grows, with what runs now, and lines stay above it", async () => {
  const { course, written } = setUp(true);
  course.begin(4);
  expect(await course.step("warming up", async () => 7)).toBe(7);
  expect(written).toEqual([
    "\r\u001b[K[------------------------] 0 %, warming up",
    "\r\u001b[K[######------------------] 25 %, warming up",
  ]);
  written.splice(0);
  course.say("  bare  1000/s");
  expect(written).toEqual(["\r\u001b[K", "  bare  1000/s\n", "\r\u001b[K[######------------------] 25 %, warming up"]);
  course.skip(2);
  await course.step("latency", async () => {});
  expect(written.at(-1)).toBe("\r\u001b[K[########################] 100 %, latency");
  course.end();
  expect(written.at(-1)).toBe("\r\u001b[K");
  course.say("done");
  expect(written.at(-1)).toBe("done\n");
});

test("what is piped gets the lines alone", async () => {
  const { course, written } = setUp(false);
  course.begin(1);
  await course.step("warming up", async () => {});
  course.say("a line");
  course.end();
  expect(written).toEqual(["a line\n"]);
});
