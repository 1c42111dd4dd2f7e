/** The pages of docs/ that are written from the sources' own tables, so that they can't say anything else. */
import { Code } from "@connectrpc/connect";
import { connectError } from "../src/api/errors.ts";
import { SETTINGS, type Setting } from "../src/config/settings.ts";
import { CodedError, ERRORS, type ErrorCode } from "../src/kernel/errors.ts";

export interface Page {
  /** From the repository's root. */
  readonly path: string;
  readonly text: string;
}

export function generatedPages(): readonly Page[] {
  return [
    { path: "docs/config.md", text: configPage() },
    { path: "docs/errors.md", text: errorsPage() },
  ];
}

const NOTE = "<!-- Written by `npm run docs`; change the table in the sources instead. -->";

function configPage(): string {
  const rows: readonly Setting<unknown>[] = Object.values(SETTINGS);
  return `# Configuration

${NOTE}

passbus is configured by environment variables. One that is set to nothing counts as not set. A value that does not
parse stops the start with its name, what it looks like (never the value of a secret) and what would be right; a
variable that begins with \`PASSBUS_\` and is not listed here is warned of. The table is src/config/settings.ts.

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
