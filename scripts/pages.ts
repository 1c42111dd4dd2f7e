/** The pages of docs/ that are written from the sources' own tables, so that they can't say anything else. */
import { Code } from "@connectrpc/connect";
import { connectError } from "../src/api/errors.ts";
import type { Setting } from "../src/config/setting.ts";
import { SETTINGS } from "../src/config/settings.ts";
import { CodedError, ERRORS, type ErrorCode } from "../src/kernel/errors.ts";
import { LIMIT_ROWS, type LimitName } from "../src/kernel/limit-rows.ts";
import { LIMITS } from "../src/kernel/limits.ts";
import { cliPage } from "./cli-page.ts";

export interface Page {
  /** From the repository's root. */
  readonly path: string;
  readonly text: string;
}

export function generatedPages(): readonly Page[] {
  return [
    { path: "docs/config.md", text: configPage() },
    { path: "docs/errors.md", text: errorsPage() },
    { path: "docs/limits.md", text: limitsPage() },
    { path: "docs/cli.md", text: cliPage(NOTE) },
  ];
}

const NOTE = "<!-- Written by `npm run docs`; change the table in the sources instead. -->";

function configPage(): string {
  const rows: readonly Setting<unknown>[] = Object.values(SETTINGS);
  return `# Configuration

${NOTE}

passbus is configured by environment variables. One that is set to nothing counts as not set. A value that does not
parse stops the start with its name, what it looks like (never the value of a secret) and what would be right; a
variable that begins with \`PASSBUS_\` and is not listed here is warned of. \`passbus config\` shows the settings in
effect and where each comes from; \`passbus config --check\` says what is wrong without starting anything. The table is
src/config/settings.ts.

| variable | default | what it is | it must be |
|---|---|---|---|
${rows.map(settingRow).join("\n")}
`;
}

function settingRow(row: Setting<unknown>): string {
  const fallback = row.fallback === undefined || row.fallback === "" ? "–" : `\`${row.fallback}\``;
  const secret = row.secret === true ? " A secret." : "";
  return `| \`${row.variable}\` | ${fallback} | ${row.about}${secret} | ${row.shape.is} |`;
}

function errorsPage(): string {
  const codes = Object.keys(ERRORS) as ErrorCode[];
  return `# Errors

${NOTE}

Every error has a code that stays what it is, whatever its message says. In the answer to a call it is the \`reason\` of
the \`google.rpc.ErrorInfo\` detail (domain \`passbus\`), beside the gRPC code; fields that are wrong are named in a
\`google.rpc.BadRequest\` detail and in the message. The same codes stand in \`Attempt.error_code\`, in the reasons of
dead letters and in the log, where the gRPC code says nothing. The table is src/kernel/errors.ts.

| code | gRPC code in an answer | what it means |
|---|---|---|
${codes.map(errorRow).join("\n")}
`;
}

function errorRow(code: ErrorCode): string {
  const grpc = Code[connectError(new CodedError(code, "")).code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
  return `| \`${code}\` | ${grpc} | ${ERRORS[code].meaning} |`;
}

function limitsPage(): string {
  const names = Object.keys(LIMITS) as LimitName[];
  return `# Limits

${NOTE}

Everything has a limit, and meeting one is a clear error or a wait, never growth. Errors are those of
[errors.md](errors.md). What the settings change is in [config.md](config.md): how long things are kept, the records that
may wait in the embedded log (PASSBUS_MAX_BACKLOG), calls and events a second; and SetLimits gives an organisation its
own numbers. The table is src/kernel/limits.ts with src/kernel/limit-rows.ts.

| limit | of what | value | what comes of meeting it |
|---|---|---|---|
${names.map(limitRow).join("\n")}
`;
}

function limitRow(name: LimitName): string {
  const row = LIMIT_ROWS[name];
  const met = "error" in row ? `\`${row.error}\`` : row.effect;
  return `| \`${name}\` | ${row.about} | ${amount(name, LIMITS[name])} | ${met} |`;
}

/** The unit stands in the name. */
function amount(name: string, value: number): string {
  if (/Ms$/.test(name)) return time(value);
  if (!/Bytes(Per[A-Z][a-z]+)?$/.test(name)) return value.toLocaleString("en");
  return value % (1_024 * 1_024) === 0 ? `${value / 1_024 / 1_024} MiB` : `${(value / 1_024).toLocaleString("en")} KiB`;
}

function time(ms: number): string {
  const units = [
    [86_400_000, "days"],
    [3_600_000, "h"],
    [60_000, "min"],
    [1_000, "s"],
  ] as const;
  const [size, unit] = units.find(([each]) => ms % each === 0 && ms / each > 1) ?? [1, "ms"];
  return ms === 3_600_000 ? "1 h" : ms === 1_000 ? "1 s" : `${(ms / size).toLocaleString("en")} ${unit}`;
}
