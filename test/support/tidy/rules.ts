/** The rules of the house besides the rooms: sizes, hidden inputs, types, tests that must not be skipped. */
import type { ArrowFunctionExpression, CallExpression, Function as Fn, Node } from "oxc-parser";
import { roomRule } from "./rooms.ts";
import { isTest, lineAt, type Rule, type Source, type Violation, violation, visit } from "./source.ts";

export const maxFileLines = 400;
export const maxFunctionLines = 70;

/** The dotted name of an expression, as in `process.env` or `test.concurrent.skip`; undefined if it has none. */
function dotted(node: Node): string | undefined {
  if (node.type === "Identifier") return node.name;
  if (node.type !== "MemberExpression") return undefined;
  const object = dotted(node.object);
  if (object === undefined) return undefined;
  if (node.computed) {
    return node.property.type === "Literal" ? `${object}.${node.property.value}` : undefined;
  }
  return `${object}.${node.property.name}`.replace(/^globalThis\./u, "");
}

function fileLengthRule(source: Source): Violation[] {
  const end = source.text.trimEnd().length;
  const lines = lineAt(source, end);
  if (lines <= maxFileLines) return [];
  const message = `${lines} lines; a file has at most ${maxFileLines}`;
  return [violation(source, "file-length", end, message)];
}

/** A `describe` is a chapter, not a function: its lines do not count, neither its own nor round it. */
function functionLengthRule(source: Source): Violation[] {
  const functions: (Fn | ArrowFunctionExpression)[] = [];
  const chapters: CallExpression[] = [];
  const chapterBodies = new Set<Node>();
  visit(source, {
    CallExpression: (node) => {
      const callee = node.callee.type === "CallExpression" ? node.callee.callee : node.callee;
      if (!/^(?:describe|suite)\b/u.test(dotted(callee) ?? "")) return;
      chapters.push(node);
      for (const argument of node.arguments) chapterBodies.add(argument);
    },
    FunctionDeclaration: (node) => functions.push(node),
    FunctionExpression: (node) => functions.push(node),
    ArrowFunctionExpression: (node) => functions.push(node),
  });
  return functions.flatMap((node) => {
    if (chapterBodies.has(node)) return [];
    const inside = chapters.filter((call) => call.start >= node.start && call.end <= node.end);
    const outermost = inside.filter(
      (call) => !inside.some((other) => other.start < call.start && other.end >= call.end),
    );
    const span = (at: Node): number => lineAt(source, at.end) - lineAt(source, at.start) + 1;
    const lines = span(node) - outermost.reduce((total, call) => total + span(call), 0);
    if (lines <= maxFunctionLines) return [];
    const message = `${lines} lines; a function has at most ${maxFunctionLines}`;
    return [violation(source, "function-length", node.start, message)];
  });
}

/** Settings come from src/config alone. */
function environmentRule(source: Source): Violation[] {
  if (!source.path.startsWith("src/") || isTest(source.path)) return [];
  if (source.path.startsWith("src/config/")) return [];
  const found: number[] = [];
  visit(source, {
    MemberExpression: (node) => {
      if (dotted(node) === "process.env") found.push(node.start);
    },
    VariableDeclarator: (node) => {
      if (node.init === null || dotted(node.init) !== "process") return;
      const text = source.text.slice(node.id.start, node.id.end);
      if (/\benv\b/u.test(text)) found.push(node.start);
    },
    ImportDeclaration: (node) => {
      if (!/^(?:node:)?process$/u.test(node.source.value)) return;
      if (node.specifiers.some((name) => importedName(name) === "env")) found.push(node.start);
    },
  });
  const message = "process.env is read in src/config alone";
  return found.map((offset) => violation(source, "environment", offset, message));
}

function importedName(specifier: Node): string | undefined {
  if (specifier.type !== "ImportSpecifier") return undefined;
  return specifier.imported.type === "Identifier" ? specifier.imported.name : undefined;
}

/** Time and chance come in through the kernel, so that a test can hold them. */
function clockRule(source: Source): Violation[] {
  // The dashboard may import no room, so it has a clock of its own.
  const free = /^src\/(?:kernel\/|adapters\/|dashboard\/clock\.ts$)/u.test(source.path);
  if (!source.path.startsWith("src/") || free || isTest(source.path)) return [];
  const found: [offset: number, what: string][] = [];
  const timers = new Set(["setTimeout", "setInterval"]);
  visit(source, {
    MemberExpression: (node) => {
      const name = dotted(node);
      if (name === "Date.now" || name === "Math.random") found.push([node.start, name]);
    },
    CallExpression: (node) => {
      const name = dotted(node.callee) ?? "";
      if (timers.has(name) || name === "Date") found.push([node.start, name]);
    },
    NewExpression: (node) => {
      const isNow = dotted(node.callee) === "Date" && node.arguments.length === 0;
      if (isNow) found.push([node.start, "new Date()"]);
    },
    ImportDeclaration: (node) => {
      if (!/^(?:node:)?timers(?:\/promises)?$/u.test(node.source.value)) return;
      if (node.importKind !== "type") found.push([node.start, node.source.value]);
    },
  });
  return found.map(([offset, what]) =>
    violation(source, "clock", offset, `${what} belongs in src/kernel and src/adapters`),
  );
}

function barrelRule(source: Source): Violation[] {
  if (/(?:^|\/)index\.tsx?$/u.test(source.path)) {
    return [violation(source, "barrel", 0, "index.ts: name the file for what it holds")];
  }
  const body = source.program.body;
  const onlyPasses = body.every(
    (node) =>
      node.type === "ImportDeclaration" ||
      node.type === "ExportAllDeclaration" ||
      (node.type === "ExportNamedDeclaration" && node.declaration === null),
  );
  const exports = body.find((node) => node.type === "ExportAllDeclaration" || node.type === "ExportNamedDeclaration");
  if (!onlyPasses || exports === undefined) return [];
  return [violation(source, "barrel", exports.start, "the file only hands on what others export")];
}

function typeRule(source: Source): Violation[] {
  const found: Violation[] = [];
  visit(source, {
    TSAnyKeyword: (node) => found.push(violation(source, "any", node.start, "unknown, or a type")),
    TSNonNullExpression: (node) => found.push(violation(source, "non-null", node.start, "prove it with a check")),
    ExportDefaultDeclaration: (node) =>
      found.push(violation(source, "default-export", node.start, "export it by its name")),
  });
  return found;
}

const testRoots = "(?:it|test|describe|suite)";
const forbidden = new RegExp(`^${testRoots}(?:\\.\\w+)*\\.(?:skip|only|todo|fails|runIf)$`, "u");
const conditional = new RegExp(`^${testRoots}(?:\\.\\w+)*\\.skipIf$`, "u");
const fromInside = /^(?:(?:ctx|context|t|task)\.)?skip$/u;

/** `describe.skipIf(!x.present)(x.title("…"), …)`: the one form of a skip; see test/support/requirements.ts. */
function isAgreedSkip(outer: CallExpression): boolean {
  const inner = outer.callee;
  if (inner.type !== "CallExpression" || !conditional.test(dotted(inner.callee) ?? "")) return false;
  const condition = inner.arguments[0];
  const title = outer.arguments[0];
  if (condition?.type !== "UnaryExpression" || condition.operator !== "!") return false;
  if (title?.type !== "CallExpression") return false;
  const what = /^(\w+)\.present$/u.exec(dotted(condition.argument) ?? "")?.[1];
  return what !== undefined && dotted(title.callee) === `${what}.title`;
}

function skipRule(source: Source): Violation[] {
  if (!isTest(source.path)) return [];
  const found: Violation[] = [];
  const agreed = new Set<Node>();
  const form = 'describe.skipIf(!x.present)(x.title("…"), …), x from requirement()';
  visit(source, {
    CallExpression: (node) => {
      if (isAgreedSkip(node)) agreed.add(node.callee);
      const name = dotted(node.callee) ?? "";
      const bare = conditional.test(name) && !agreed.has(node);
      if (!bare && !fromInside.test(name)) return;
      found.push(violation(source, "skip", node.start, `${name}: the one form is ${form}`));
    },
    MemberExpression: (node) => {
      const name = dotted(node) ?? "";
      if (!forbidden.test(name)) return;
      found.push(violation(source, "skip", node.start, `${name}: the one form is ${form}`));
    },
  });
  return found;
}

export const rules: readonly Rule[] = [
  roomRule,
  fileLengthRule,
  functionLengthRule,
  environmentRule,
  clockRule,
  barrelRule,
  typeRule,
  skipRule,
];
