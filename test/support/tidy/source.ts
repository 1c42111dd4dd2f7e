/** A source file as the tidy rules see it, and what a rule says about it. */
import { posix } from "node:path";
import { type Program, parseSync, Visitor, type VisitorObject } from "oxc-parser";

export interface Source {
  /** From the repository's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly program: Program;
}

export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
}

export type Rule = (source: Source) => Violation[];

export function parse(path: string, text: string): Source {
  const result = parseSync(path, text);
  const error = result.errors[0];
  if (error !== undefined) throw new Error(`${path} does not parse: ${error.message}`);
  return { path, text, program: result.program };
}

export function visit(source: Source, visitor: VisitorObject): void {
  new Visitor(visitor).visit(source.program);
}

export function lineAt(source: Source, offset: number): number {
  let line = 1;
  for (let at = source.text.indexOf("\n"); at !== -1 && at < offset; line += 1) {
    at = source.text.indexOf("\n", at + 1);
  }
  return line;
}

/** What a rule says of a place in a file. */
export function violation(source: Source, rule: string, offset: number, message: string): Violation {
  return { path: source.path, line: lineAt(source, offset), rule, message };
}

export function isTest(path: string): boolean {
  return path.startsWith("test/") || path.endsWith(".test.ts") || path.endsWith(".test.tsx");
}

export interface ImportSite {
  readonly specifier: string;
  /** The file that a relative specifier names, from the root; undefined for a package. */
  readonly target: string | undefined;
  readonly offset: number;
}

/** Every import of a file: statements, re-exports, `import()` and `import("…")` types. */
export function importsOf(source: Source): ImportSite[] {
  const sites: ImportSite[] = [];
  const add = (specifier: string, offset: number): void => {
    const relative = specifier.startsWith(".");
    const target = relative ? posix.join(posix.dirname(source.path), specifier) : undefined;
    sites.push({ specifier, target, offset });
  };
  visit(source, {
    ImportDeclaration: (node) => add(node.source.value, node.start),
    ExportAllDeclaration: (node) => add(node.source.value, node.start),
    ExportNamedDeclaration: (node) => {
      if (node.source !== null) add(node.source.value, node.start);
    },
    ImportExpression: (node) => {
      const literal = node.source.type === "Literal" ? node.source.value : undefined;
      add(typeof literal === "string" ? literal : "(computed)", node.start);
    },
    TSImportType: (node) => add(node.source.value, node.start),
  });
  return sites;
}
