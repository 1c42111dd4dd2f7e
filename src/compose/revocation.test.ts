import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readRevocationLists, type TlsTexts } from "../config/refusals.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { watchRevocation } from "./revocation.ts";

const list = (name: string) => readFileSync(new URL(`../../test/support/tls/revoked/${name}.crl`, import.meta.url));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-crl-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("a list that was written anew is handed on, once; one that can't be read leaves the last in place and is told once", async () => {
  const path = join(directory, "lists.crl");
  writeFileSync(path, list("none"));
  const clock = new ManualClock();
  const said: string[] = [];
  const handed: TlsTexts[] = [];
  const log = { ...silentLog, error: (event: string) => said.push(event), info: (event: string) => said.push(event) };
  const tls = { cert: "c", key: "k", clientCa: "a", clientCrls: readRevocationLists(path) };
  const end = watchRevocation({ tls, path, replace: (next) => handed.push(next), clock, log });
  const looks = async (times: number) => {
    for (let at = 0; at < times; at += 1) await clock.advance(5_000);
  };
  await looks(2);
  expect([handed, said]).toEqual([[], []]);
  writeFileSync(path, list("revoked"));
  await looks(2);
  expect(handed).toEqual([{ ...tls, clientCrls: [list("revoked").toString().trim()] }]);
  writeFileSync(path, "half a li");
  await looks(3);
  writeFileSync(path, list("revoked"));
  await looks(1);
  expect([handed.length, said]).toEqual([1, ["tls.revocation_read", "tls.revocation_unreadable"]]);
  end();
  writeFileSync(path, list("none"));
  await looks(2);
  expect(handed).toHaveLength(1);
});
