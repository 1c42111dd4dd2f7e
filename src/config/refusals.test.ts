import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Config, readConfig } from "./config.ts";
import { listenRefusal, readTlsTexts } from "./refusals.ts";

const CERT = join(import.meta.dirname, "../../test/support/tls/cert.pem");
const KEY = join(import.meta.dirname, "../../test/support/tls/key.pem");

let directory: string;
let missing: string;
let noPem: string;
let otherKey: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-tls-"));
  missing = join(directory, "missing.pem");
  noPem = join(directory, "no.pem");
  otherKey = join(directory, "other.pem");
  writeFileSync(noPem, "a secret that is no PEM");
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(otherKey, privateKey.export({ type: "pkcs8", format: "pem" }));
});

afterAll(() => rmSync(directory, { recursive: true }));

function settings(cert: string, key: string): Config {
  return readConfig({ PASSBUS_TLS_CERT_FILE: cert, PASSBUS_TLS_KEY_FILE: key });
}

describe("readTlsTexts", () => {
  it("reads a certificate and its key, and nothing where no TLS is wanted", () => {
    expect(readTlsTexts(readConfig({}))).toBeUndefined();
    expect(readTlsTexts(settings(CERT, KEY))).toEqual({
      cert: expect.stringContaining("BEGIN CERTIFICATE"),
      key: expect.stringContaining("PRIVATE KEY"),
    });
  });

  it("names the variable of the file that is wrong, and what is wrong with it", () => {
    const cases: readonly (readonly [cert: string, key: string, variable: string, says: string])[] = [
      [missing, KEY, "PASSBUS_TLS_CERT_FILE", "ENOENT"],
      [CERT, missing, "PASSBUS_TLS_KEY_FILE", "ENOENT"],
      [directory, KEY, "PASSBUS_TLS_CERT_FILE", "EISDIR"],
      [noPem, KEY, "PASSBUS_TLS_CERT_FILE", "is none"],
      [CERT, noPem, "PASSBUS_TLS_KEY_FILE", "is none"],
      [CERT, otherKey, "PASSBUS_TLS_KEY_FILE", "another's"],
    ];
    for (const [cert, key, variable, says] of cases) {
      const message = expect.stringMatching(new RegExp(`^${variable}: must name .*${says}`));
      const expected = { code: "config.invalid", message, violations: [{ field: variable }] };
      expect(() => readTlsTexts(settings(cert, key)), `${cert} ${key}`).toThrow(
        expect.objectContaining({ ...expected, violations: [expect.objectContaining({ field: variable })] }),
      );
    }
  });

  it("reads the authorities of clients' certificates, and names their variable where they are none", () => {
    const withClients = (ca: string) =>
      readTlsTexts(readConfig({ PASSBUS_TLS_CERT_FILE: CERT, PASSBUS_TLS_KEY_FILE: KEY, PASSBUS_TLS_CLIENT_CA: ca }));
    expect(withClients(CERT)?.clientCa).toContain("BEGIN CERTIFICATE");
    const damaged = join(directory, "damaged.pem");
    writeFileSync(damaged, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (const [file, says] of [
      [missing, "ENOENT"],
      [noPem, "has none"],
      [KEY, "has none"],
      [damaged, "is damaged"],
    ] as const) {
      expect(() => withClients(file)).toThrow(
        expect.objectContaining({
          message: expect.stringMatching(new RegExp(`^PASSBUS_TLS_CLIENT_CA: must name .*${says}`)),
        }),
      );
    }
  });

  it("reads each revocation list, and names their variable where there is none", () => {
    const tlsFile = (name: string) => join(import.meta.dirname, "../../test/support/tls", name);
    const withLists = (crl: string) =>
      readTlsTexts(
        readConfig({
          PASSBUS_TLS_CERT_FILE: CERT,
          PASSBUS_TLS_KEY_FILE: KEY,
          PASSBUS_TLS_CLIENT_CA: CERT,
          PASSBUS_TLS_CLIENT_CRL: crl,
        }),
      )?.clientCrls;
    const text = readFileSync(tlsFile("revoked/revoked.crl"), "utf8");
    const two = join(directory, "two.crl");
    writeFileSync(two, `of the first authority\n${text}of the second\n${text}`);
    expect(withLists(two)).toEqual([text.trim(), text.trim()]);
    const damaged = join(directory, "damaged.crl");
    writeFileSync(damaged, `${text}-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n`);
    for (const [file, says] of [
      [missing, "ENOENT"],
      [CERT, "has none"],
      [damaged, "is damaged"],
    ] as const) {
      const message = expect.stringMatching(new RegExp(`^PASSBUS_TLS_CLIENT_CRL: must name .*${says}`));
      expect(() => withLists(file)).toThrow(expect.objectContaining({ message }));
    }
  });

  it("shows nothing of a file's content", () => {
    expect(() => readTlsTexts(settings(CERT, noPem))).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining("a secret") }),
    );
  });
});

describe("listenRefusal", () => {
  it("names the setting for an address that can't be had", async () => {
    const foreign = { host: "192.0.2.1", port: 0 };
    expect(listenRefusal(await errorOfListening(foreign), foreign)).toMatchObject({
      code: "config.invalid",
      message: 'PASSBUS_LISTEN: must have an address of this machine; "192.0.2.1:0" is not (EADDRNOTAVAIL)',
      violations: [{ field: "PASSBUS_LISTEN" }],
    });
  });

  it("names it for each code that an address is refused with, and shows an IPv6 address in brackets", () => {
    for (const code of ["EADDRINUSE", "EACCES", "EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN"]) {
      const refusal = listenRefusal(Object.assign(new Error("listen"), { code }), { host: "::1", port: 80 });
      expect(refusal).toMatchObject({
        message: expect.stringMatching(`^PASSBUS_LISTEN: must .*"\\[::1\\]:80".*${code}`),
      });
    }
  });

  it("lets an error pass that is not the setting's", () => {
    for (const error of [new Error("internal"), Object.assign(new Error("too many files"), { code: "EMFILE" })]) {
      expect(listenRefusal(error, { host: "::1", port: 80 })).toBe(error);
    }
  });
});

function errorOfListening(at: Config["listen"]): Promise<unknown> {
  return new Promise((resolve) => {
    createServer().once("error", resolve).listen(at.port, at.host);
  });
}
