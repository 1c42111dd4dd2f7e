/**
 * The rules of the house, held by a test: the table of rooms (design, section 4), sizes, hidden inputs, types
 * and skips. A rule that gets in the way is changed in test/support/tidy, in the open.
 */
import { globSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { describe, expect, it } from "vitest";
import { maxFileLines, maxFunctionLines, rules } from "./support/tidy/rules.ts";
import { parse } from "./support/tidy/source.ts";

const root = join(import.meta.dirname, "..");

function offences(path: string, text: string): string[] {
  const source = parse(path, text);
  return rules.flatMap((rule) =>
    rule(source).map((found) => `${found.path}:${found.line} ${found.rule}: ${found.message}`),
  );
}

/** The rules that a snippet breaks, as `line rule`. */
function broken(path: string, text: string): string[] {
  const source = parse(path, text);
  return rules.flatMap((rule) => rule(source).map((found) => `${found.line} ${found.rule}`));
}

describe("the sources keep the rules of the house", () => {
  const files = globSync("{src,test,bench,scripts}/**/*.{ts,tsx}", { cwd: root });

  it("finds the sources", () => {
    expect(files.length).toBeGreaterThan(10);
  });

  it("finds no offence", () => {
    const found = files.flatMap((file) => offences(file.split(sep).join("/"), readFileSync(join(root, file), "utf8")));
    expect(found.sort().join("\n")).toBe("");
  });
});

/** path, text, what is found. Each rule fires at least once, and lets its neighbour pass. */
const cases: readonly (readonly [path: string, text: string, found: readonly string[]])[] = [
  // rooms
  ["src/kernel/a.ts", 'import { b } from "../domain/b.ts";', ["1 room"]],
  ["src/kernel/a.ts", 'import { b } from "./b.ts";', []],
  ["src/kernel/a.ts", 'import { b } from "../../gen/io/pass_pb.js";', ["1 room"]],
  ["src/domain/a.ts", 'import { b } from "../../gen/io/pass_pb.js";', []],
  ["src/domain/a.ts", 'import type { b } from "../formats/b.ts";', ["1 room"]],
  ["src/config/a.ts", 'import { b } from "../domain/b.ts";', ["1 room"]],
  ["src/formats/a.ts", 'import { b } from "../signing/b.ts";', ["1 room"]],
  ["src/subscriptions/a.ts", 'import { b } from "../signing/b.ts";', []],
  ["src/subscriptions/a.ts", 'import { b } from "../delivery/b.ts";', ["1 room"]],
  ["src/delivery/a.ts", 'import { b } from "../matching/b.ts";', []],
  ["src/delivery/a.ts", 'import { b } from "../adapters/http/b.ts";', ["1 room"]],
  ["src/adapters/http/a.ts", 'import { b } from "../../delivery/sender.ts";', []],
  ["src/adapters/http/a.ts", 'import { b } from "../sqlite/b.ts";', ["1 room"]],
  ["src/adapters/http/a.ts", 'import { b } from "../../api/b.ts";', ["1 room"]],
  ["src/adapters/carrier-pigeon/a.ts", "export const b = 1;", ["1 room"]],
  ["src/adapters/a.ts", "export const b = 1;", ["1 room"]],
  ["src/cellar/a.ts", "export const b = 1;", ["1 room"]],
  ["src/api/a.ts", 'import { b } from "../adapters/sqlite/b.ts";', ["1 room"]],
  ["src/api/a.ts", 'import { b } from "../compose/compose.ts";', ["1 room"]],
  ["src/cli/a.ts", 'import { b } from "../compose/compose.ts";', []],
  ["src/cli/a.ts", 'import { b } from "../adapters/sqlite/b.ts";', ["1 room"]],
  ["src/dashboard/a.tsx", 'import { b } from "../kernel/b.ts";', ["1 room"]],
  ["src/main.ts", 'import { b } from "./compose/compose.ts";', []],
  ["src/main.ts", 'import { b } from "./adapters/sqlite/b.ts";', ["1 room"]],
  ["src/api-thread.ts", 'import { b } from "./compose/compose.ts";', []],
  ["src/compose/compose.ts", 'import { b } from "../adapters/sqlite/b.ts";', []],
  ["src/compose/compose.ts", 'import { b } from "../main.ts";', ["1 room"]],
  ["src/compose/compose.ts", 'import { b } from "../../test/b.ts";', ["1 room"]],
  ["src/compose/compose.test.ts", 'import { b } from "../../test/b.ts";', []],
  ["src/kernel/a.ts", 'export const b = 1;\nexport { c } from "../domain/b.ts";', ["2 room"]],
  ["src/kernel/a.ts", 'const b = await import("../domain/b.ts");', ["1 room"]],
  ["src/kernel/a.ts", "const b = await import(name);", ["1 room"]],
  ["src/kernel/a.ts", 'type B = import("../domain/b.ts").B;', ["1 room"]],
  ["src/kernel/a.ts", 'const b = new URL("../domain/b.ts", import.meta.url);', []],
  // sizes
  ["src/kernel/a.ts", "const a = 1;\n".repeat(maxFileLines), []],
  ["test/a.ts", "const a = 1;\n".repeat(maxFileLines + 1), ["401 file-length"]],
  ["bench/a.ts", `function f() {\n${"f();\n".repeat(maxFunctionLines - 2)}}`, []],
  ["bench/a.ts", `\nfunction f() {\n${"f();\n".repeat(maxFunctionLines - 1)}}`, ["2 function-length"]],
  ["src/kernel/a.ts", `const f = () => {\n${"f();\n".repeat(69)}};`, ["1 function-length"]],
  ["src/kernel/a.ts", `class A { f() {\n${"f();\n".repeat(69)}} }`, ["1 function-length"]],
  ["test/a.test.ts", `describe("a", () => {\n${"f();\n".repeat(99)}});`, []],
  ["test/a.test.ts", `describe.each([1])("a", () => {\n${"f();\n".repeat(99)}});`, []],
  ["test/a.test.ts", `it("a", () => {\n${"f();\n".repeat(99)}});`, ["1 function-length"]],
  ["test/a.ts", `function c() {\ndescribe("a", () => {\n${"f();\n".repeat(99)}});\n}`, []],
  // hidden inputs
  ["src/domain/a.ts", "const a = process.env.HOME;", ["1 environment"]],
  ["src/domain/a.ts", 'const a = globalThis.process["env"];', ["1 environment"]],
  ["src/domain/a.ts", "const { env } = process;", ["1 environment"]],
  ["src/domain/a.ts", 'import { env } from "node:process";', ["1 environment"]],
  ["src/config/a.ts", "const a = process.env.HOME;", []],
  ["src/domain/a.test.ts", "const a = process.env.HOME;", []],
  ["src/domain/a.ts", "const a = Date.now();", ["1 clock"]],
  ["src/domain/a.ts", "const now = Date.now;", ["1 clock"]],
  ["src/domain/a.ts", "const a = Math.random();", ["1 clock"]],
  ["src/domain/a.ts", "setTimeout(f, 1);\nglobalThis.setInterval(f, 1);", ["1 clock", "2 clock"]],
  ["src/domain/a.ts", 'import { setTimeout } from "node:timers/promises";', ["1 clock"]],
  ["src/domain/a.ts", "const a = new Date();", ["1 clock"]],
  ["src/domain/a.ts", "const a = new Date(1);", []],
  ["src/domain/a.ts", "socket.setTimeout(1);", []],
  ["src/kernel/a.ts", "const a = Date.now();", []],
  ["src/adapters/http/a.ts", "setTimeout(f, 1);", []],
  ["src/dashboard/clock.ts", "const a = Date.now();", []],
  ["src/dashboard/parts/clock.ts", "const a = Date.now();", ["1 clock"]],
  // shape and types
  ["src/kernel/index.ts", "export const a = 1;", ["1 barrel"]],
  ["src/kernel/a.ts", 'import { c } from "./c.ts";\nexport * from "./b.ts";', ["2 barrel"]],
  ["src/kernel/a.ts", 'export { b } from "./b.ts";', ["1 barrel"]],
  ["src/kernel/a.ts", 'export { b } from "./b.ts";\nexport const c = 1;', []],
  ["src/kernel/a.ts", "const a: any = 1;", ["1 any"]],
  ["src/kernel/a.ts", "const a = b as any;", ["1 any"]],
  ["src/kernel/a.ts", "const any = 1;", []],
  ["src/kernel/a.ts", "const a = b!.c;", ["1 non-null"]],
  ["src/kernel/a.ts", "const a = !b.c;", []],
  ["src/kernel/a.ts", "export default 1;", ["1 default-export"]],
  // skips
  ["test/a.test.ts", 'it.skip("a", f);', ["1 skip"]],
  ["test/a.test.ts", 'describe.only("a", f);', ["1 skip"]],
  ["test/a.test.ts", 'it.todo("a");', ["1 skip"]],
  ["test/a.test.ts", 'test.concurrent.skip("a", f);', ["1 skip"]],
  ["test/a.test.ts", 'it("a", (ctx) => ctx.skip());', ["1 skip"]],
  ["test/a.test.ts", 'describe.runIf(here)("a", f);', ["1 skip"]],
  ["test/a.test.ts", 'describe.skipIf(!here)("a", f);', ["1 skip"]],
  ["test/a.test.ts", 'describe.skipIf(!x.present)("a", f);', ["1 skip"]],
  ["test/a.test.ts", 'describe.skipIf(!x.present)(y.title("a"), f);', ["1 skip"]],
  ["test/a.test.ts", 'describe.skipIf(!x.present)(x.title("a"), f);', []],
];

describe("each rule can fire", () => {
  for (const [path, text, found] of cases) {
    const start = text.trim().split("\n", 1).join("");
    it(`${path} | ${start} | ${found.join(", ") || "passes"}`, () => {
      expect(broken(path, text)).toEqual(found);
    });
  }
});
