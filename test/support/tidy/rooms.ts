/** Who may import whom: the table of rooms of the design, section 4, and what holds besides it. */
import { type ImportSite, importsOf, isTest, type Source, type Violation, violation } from "./source.ts";

const words = ["kernel", "domain", "gen"];
const rooms = [
  "intake",
  "matching",
  "subscriptions",
  "formats",
  "signing",
  "delivery",
  "access",
  "telemetry",
  "inspector",
];

/** What each room may import besides itself; "*" is everything. Packages are not the table's business. */
const table: Readonly<Record<string, readonly string[]>> = {
  // The version is said once, in package.json.
  kernel: ["package.json"],
  config: ["kernel"],
  domain: ["kernel", "gen"],
  formats: words,
  signing: words,
  matching: words,
  access: words,
  intake: words,
  telemetry: words,
  subscriptions: [...words, "formats", "signing", "matching"],
  delivery: [...words, "formats", "signing", "matching"],
  inspector: [...words, "formats", "signing", "delivery"],
  // An adapter reaches the rooms whose ports it serves, and never another adapter.
  "adapters/sqlite": [...words, "access", "delivery", "inspector", "intake", "matching", "subscriptions"],
  "adapters/mongodb": [...words, "access", "delivery", "inspector", "intake", "matching", "subscriptions"],
  "adapters/embedded-log": [...words, "intake"],
  "adapters/kafka": [...words, "intake"],
  "adapters/http": [...words, "access", "delivery", "subscriptions"],
  "adapters/key-file": ["kernel"],
  api: [...words, ...rooms, "config"],
  cli: [...words, ...rooms, "config", "api", "compose"],
  dashboard: ["gen"],
  "main.ts": ["kernel", "config", "telemetry", "cli", "compose"],
  "api-thread.ts": ["kernel", "compose"],
  compose: ["*"],
};

/** The room that a file of the repository belongs to, or undefined for a place that is none. */
export function roomOf(path: string): string | undefined {
  const [top, room, inner] = path.split("/");
  if (top !== "src") return top;
  if (room === "adapters") return inner?.includes(".") ? undefined : `adapters/${inner}`;
  return room;
}

function judge(from: string, site: ImportSite): string | undefined {
  if (site.specifier === "(computed)") return "import() of something that is not a literal";
  if (site.target === undefined) return undefined;
  const to = roomOf(site.target);
  if (to === from) return undefined;
  const allowed = table[from] ?? [];
  if (to !== undefined && allowed.includes(to)) return undefined;
  const inside = site.target.startsWith("src/") || site.target.startsWith("gen/");
  if (allowed.includes("*") && inside && to !== "main.ts" && to !== "api-thread.ts") return undefined;
  const choice = allowed.includes("*") ? "src and gen" : allowed.join(", ") || "nothing";
  return `${from} may not import ${to ?? "that"} (${site.target}); it may import ${choice}`;
}

/** Holds each source file to the table. Tests, benchmarks and scripts may import anything. */
export function roomRule(source: Source): Violation[] {
  if (!source.path.startsWith("src/") || isTest(source.path)) return [];
  const from = roomOf(source.path);
  if (from === undefined || !Object.hasOwn(table, from)) {
    const message = `${from ?? source.path} is no room; the table is in test/support/tidy/rooms.ts`;
    return [violation(source, "room", 0, message)];
  }
  return importsOf(source).flatMap((site) => {
    const message = judge(from, site);
    return message === undefined ? [] : [violation(source, "room", site.offset, message)];
  });
}
