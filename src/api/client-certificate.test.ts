import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createContextValues } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { fingerprintOf } from "../access/certificates.ts";
import { certificateOf, rememberCertificate } from "./client-certificate.ts";
import type { Connection } from "./connections.ts";

const GOOD = new X509Certificate(readFileSync(new URL("../../test/support/tls/clients/good.pem", import.meta.url)));

function seen(socket: object, nowMs: number, headers: object = {}): string | undefined {
  const values = createContextValues();
  rememberCertificate({ headers: { ...headers } }, { socket: socket as Connection["socket"] }, values);
  return certificateOf({ values }, nowMs);
}

const shown = (over: object = {}) => ({ authorized: true, getPeerX509Certificate: () => GOOD, ...over });

test("a certificate counts until its own end, however long its connection lasts", () => {
  const endsAtMs = GOOD.validToDate.getTime();
  const socket = shown();
  expect(seen(socket, endsAtMs - 1)).toBe(fingerprintOf(GOOD));
  expect(seen(socket, endsAtMs)).toBeUndefined();
});

test("what nobody vouches for, or a connection without TLS, has none", () => {
  expect(seen(shown({ authorized: false }), 0)).toBeUndefined();
  expect(seen(shown({ getPeerX509Certificate: () => undefined }), 0)).toBeUndefined();
  expect(seen({}, 0)).toBeUndefined();
});

test("a browser's page is not spoken for by its user's certificate", () => {
  expect(seen(shown(), 0, { origin: "https://page.example" })).toBeUndefined();
});

test("the connection is asked once", () => {
  let asked = 0;
  const socket = shown({
    getPeerX509Certificate: () => {
      asked += 1;
      return GOOD;
    },
  });
  for (let call = 0; call < 3; call += 1) expect(seen(socket, 0)).toBeDefined();
  expect(asked).toBe(1);
});
