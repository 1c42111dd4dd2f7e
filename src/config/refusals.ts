/** What only a start can find wrong with settings that parse: the machine says so, not the text. */
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { CodedError } from "../kernel/errors.ts";
import type { Config } from "./config.ts";
import { SETTINGS } from "./settings.ts";

/** The PEM texts of PASSBUS_TLS_CERT_FILE and PASSBUS_TLS_KEY_FILE. */
export interface TlsTexts {
  readonly cert: string;
  readonly key: string;
}

type Row = (typeof SETTINGS)[keyof typeof SETTINGS];

/** A `config.invalid` about one setting, worded as `readConfig` words its own. */
export function invalidSetting({ variable }: Row, description: string, options: ErrorOptions = {}): CodedError {
  return new CodedError("config.invalid", `${variable}: ${description}`, {
    ...options,
    violations: [{ field: variable, description }],
  });
}

/**
 * Undefined where no TLS is wanted.
 *
 * @throws CodedError `config.invalid`, naming the file's variable, where a file can't be read, is no PEM of its sort, or
 * the key isn't the certificate's. Nothing of the files' content is in its message.
 */
export function readTlsTexts({ tlsCertFile, tlsKeyFile }: Config): TlsTexts | undefined {
  if (tlsCertFile === undefined || tlsKeyFile === undefined) return undefined;
  const cert = readText(SETTINGS.tlsCertFile, tlsCertFile);
  const key = readText(SETTINGS.tlsKeyFile, tlsKeyFile);
  const certificate = "must name a certificate chain in PEM";
  accept({ cert }, SETTINGS.tlsCertFile, `${certificate}; ${quoted(tlsCertFile)} is none`);
  const privateKey = "must name a private key in PEM without a passphrase";
  accept({ key }, SETTINGS.tlsKeyFile, `${privateKey}; ${quoted(tlsKeyFile)} is none`);
  const theirs = `must name the private key of ${SETTINGS.tlsCertFile.variable}`;
  accept({ cert, key }, SETTINGS.tlsKeyFile, `${theirs}; ${quoted(tlsKeyFile)} is another's`);
  return { cert, key };
}

function readText(row: Row, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const description = `must name a file that passbus may read; ${quoted(path)} is not (${errnoOf(error)})`;
    throw invalidSetting(row, description, { cause: error });
  }
}

function accept(texts: Partial<TlsTexts>, row: Row, description: string): void {
  try {
    createSecureContext(texts);
  } catch (error) {
    throw invalidSetting(row, description, { cause: error });
  }
}

const RESOLVES = "must have an address of this machine, or a name that resolves to one";

/** What would be right, by what `listen` (or the look-up of its host's name) was refused with. */
const LISTEN_ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: "must be an address that nobody listens at yet, or have port 0 for any that is free",
  EACCES: "must have a port that passbus may listen at; those below 1024 are often for root alone",
  EADDRNOTAVAIL: "must have an address of this machine",
  ENOTFOUND: RESOLVES,
  EAI_AGAIN: RESOLVES,
};

/** What to throw for an error of listening: a `config.invalid` for what the setting is to blame for, else the error. */
export function listenRefusal(error: unknown, { host, port }: Config["listen"]): unknown {
  const advice = LISTEN_ADVICE[errnoOf(error)];
  if (advice === undefined) return error;
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return invalidSetting(SETTINGS.listen, `${advice}; ${quoted(address)} is not (${errnoOf(error)})`, { cause: error });
}

function errnoOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : String(error);
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
