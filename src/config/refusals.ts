/** What only a start can find wrong with settings that parse: the machine says so, not the text. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { CodedError } from "../kernel/errors.ts";
import type { Config } from "./config.ts";
import { SETTINGS } from "./settings.ts";

/** The PEM texts of PASSBUS_TLS_CERT_FILE and PASSBUS_TLS_KEY_FILE, and of PASSBUS_TLS_CLIENT_… where they are set. */
export interface TlsTexts extends PairTexts {
  readonly clientCa?: string;
  /** Each a list of its own. */
  readonly clientCrls?: readonly string[];
}

interface PairTexts {
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
export function readTlsTexts(config: Config): TlsTexts | undefined {
  const { tlsCertFile, tlsKeyFile, tlsClientCa, tlsClientCrl } = config;
  if (tlsCertFile === undefined || tlsKeyFile === undefined) return undefined;
  const pair = readPair([SETTINGS.tlsCertFile, tlsCertFile], [SETTINGS.tlsKeyFile, tlsKeyFile]);
  if (tlsClientCa === undefined) return pair;
  const clientCa = readAuthorities(SETTINGS.tlsClientCa, tlsClientCa);
  return { ...pair, clientCa, ...(tlsClientCrl !== undefined && { clientCrls: readRevocationLists(tlsClientCrl) }) };
}

/** Of PASSBUS_TLS_CLIENT_CRL. @throws CodedError `config.invalid` as `readTlsTexts` does. */
export function readRevocationLists(path: string): readonly string[] {
  const row = SETTINGS.tlsClientCrl;
  const lists = readText(row, path).match(/-----BEGIN X509 CRL-----[^-]*-----END X509 CRL-----/g) ?? [];
  if (lists.length === 0) throw invalidSetting(row, `must name revocation lists in PEM; ${quoted(path)} has none`);
  const damaged = `must name revocation lists in PEM; one in ${quoted(path)} is damaged`;
  accept(() => createSecureContext({ crl: [...lists] }), row, damaged);
  return lists;
}

function readAuthorities(row: Row, path: string): string {
  const ca = readText(row, path);
  const certificates = ca.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (certificates.length === 0) throw invalidSetting(row, `must name certificates in PEM; ${quoted(path)} has none`);
  try {
    // OpenSSL passes over what it can't read, and would leave an authority out.
    for (const each of certificates) new X509Certificate(each);
  } catch (cause) {
    throw invalidSetting(row, `must name certificates in PEM; one in ${quoted(path)} is damaged`, { cause });
  }
  return ca;
}

type NamedFile = readonly [row: Row, path: string];

function readPair([certRow, certFile]: NamedFile, [keyRow, keyFile]: NamedFile): PairTexts {
  const cert = readText(certRow, certFile);
  const key = readText(keyRow, keyFile);
  accept(
    () => createSecureContext({ cert }),
    certRow,
    `must name a certificate chain in PEM; ${quoted(certFile)} is none`,
  );
  accept(
    () => createSecureContext({ key }),
    keyRow,
    `must name a private key in PEM without a passphrase; ${quoted(keyFile)} is none`,
  );
  const theirs = `must name the private key of ${certRow.variable}`;
  accept(() => createSecureContext({ cert, key }), keyRow, `${theirs}; ${quoted(keyFile)} is another's`);
  return { cert, key };
}

/** The PEM texts that the brokers are reached with; all absent where the system's authorities do. */
export interface KafkaTlsTexts {
  readonly caText?: string;
  readonly certText?: string;
  readonly keyText?: string;
}

/**
 * Undefined where the brokers are reached without TLS.
 *
 * @throws CodedError `config.invalid` as `readTlsTexts` does.
 */
export function readKafkaTlsTexts(config: Config): KafkaTlsTexts | undefined {
  if (!config.kafkaTls) return undefined;
  const { kafkaTlsCaFile: caFile, kafkaTlsCertFile: certFile, kafkaTlsKeyFile: keyFile } = config;
  const ca = caFile === undefined ? undefined : readAuthorities(SETTINGS.kafkaTlsCaFile, caFile);
  const pair =
    certFile === undefined || keyFile === undefined
      ? undefined
      : readPair([SETTINGS.kafkaTlsCertFile, certFile], [SETTINGS.kafkaTlsKeyFile, keyFile]);
  return {
    ...(ca !== undefined && { caText: ca }),
    ...(pair !== undefined && { certText: pair.cert, keyText: pair.key }),
  };
}

function readText(row: Row, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const description = `must name a file that passbus may read; ${quoted(path)} is not (${errnoOf(error)})`;
    throw invalidSetting(row, description, { cause: error });
  }
}

function accept(read: () => unknown, row: Row, description: string): void {
  try {
    read();
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
