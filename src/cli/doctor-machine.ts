/** What `passbus doctor` finds of the machine, of names, of clocks, and of a running passbus. */
import { existsSync } from "node:fs";
import { mkdtemp, open, rm, stat, statfs } from "node:fs/promises";
import { isIP } from "node:net";
import { dirname, join, resolve } from "node:path";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { request } from "undici";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { systemClock } from "../kernel/clock.ts";
import { connected } from "./connection.ts";
import type { Finding, Patient } from "./doctor.ts";

// ---- the data directory ----

const LITTLE_BYTES = 1024 ** 3;
const FULL_BYTES = 100 * 1024 ** 2;
/** The embedded log and store write to disk before they answer: a slow disk is a slow passbus. */
const SLOW_MS = 20;
const WRITES = 20;

export async function checkDataDirectory({ config }: Patient): Promise<readonly Finding[]> {
  if (config.kafkaBrokers !== undefined) return [];
  const directory = resolve(config.dataDir);
  const existing = nearestExisting(directory);
  const findings: Finding[] = [];
  const { bavail, bsize } = await statfs(existing);
  const freeBytes = bavail * bsize;
  const free = `${(freeBytes / 1024 ** 3).toFixed(1)} GiB free at ${existing}`;
  if (freeBytes < FULL_BYTES)
    findings.push({ verdict: "wrong", what: free, advice: "make room: publishing will fail" });
  else findings.push({ verdict: freeBytes < LITTLE_BYTES ? "note" : "ok", what: free });
  if (existing === directory) findings.push(...(await privacyOf(directory)));
  try {
    const medianMs = await syncTime(existing);
    const what = `a write reaches the disk in ${medianMs.toFixed(1)} ms (median of ${WRITES})`;
    const advice = "put PASSBUS_DATA_DIR on a local disk that is quicker";
    findings.push(medianMs > SLOW_MS ? { verdict: "note", what, advice } : { verdict: "ok", what });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    findings.push({
      verdict: "wrong",
      what: `${existing} can't be written to: ${reason}`,
      advice: "let passbus's user write there, or set PASSBUS_DATA_DIR to another directory",
    });
  }
  return findings;
}

/** passbus makes it for its own user alone. */
async function privacyOf(directory: string): Promise<readonly Finding[]> {
  if (process.platform === "win32") return [];
  const { mode } = await stat(directory);
  if ((mode & 0o077) === 0) return [];
  const what = `${directory} has mode ${(mode & 0o777).toString(8)}: others of this machine may read what is kept`;
  return [{ verdict: "note", what, advice: `chmod 700 ${directory}` }];
}

/** The directory itself, or the one that it would be made in. */
function nearestExisting(directory: string): string {
  let at = directory;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  return at;
}

async function syncTime(directory: string): Promise<number> {
  const own = await mkdtemp(join(directory, ".passbus-doctor-"));
  try {
    await using file = await open(join(own, "probe"), "w");
    const page = Buffer.alloc(4096, 1);
    const times: number[] = [];
    for (let write = 0; write < WRITES; write++) {
      const before = systemClock.monotonic();
      await file.write(page);
      await file.datasync();
      times.push(systemClock.monotonic() - before);
    }
    return times.sort((a, b) => a - b)[WRITES / 2] ?? 0;
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

// ---- clocks ----

/** Receivers refuse a webhook whose timestamp is minutes off (Standard Webhooks 1.0: five). */
const OFF_MS = 60_000;
const NOTED_MS = 5_000;

export async function checkClock({ config, options, deps }: Patient): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const storeAheadMs = await deps.storeClockAheadMs(config);
  if (storeAheadMs !== undefined) findings.push(clockFinding("the store's", storeAheadMs));
  if (options.clockUrl !== undefined) {
    const aheadMs = await dateAhead(options.clockUrl);
    findings.push(clockFinding(`that of ${options.clockUrl}`, aheadMs));
  }
  if (findings.length > 0) return findings;
  return [{ verdict: "ok", what: "no other clock to hold this one against; --clock-url names one" }];
}

function clockFinding(whose: string, aheadMs: number): Finding {
  const offMs = Math.abs(aheadMs);
  const what = `this clock is ${offMs < 1_000 ? "with" : `${Math.round(offMs / 1_000)} s ${aheadMs > 0 ? "behind" : "ahead of"}`} ${whose}`;
  if (offMs < NOTED_MS) return { verdict: "ok", what };
  const advice = "set the clock, and let NTP keep it: receivers refuse webhooks whose timestamp is off";
  return { verdict: offMs > OFF_MS ? "wrong" : "note", what, advice };
}

/** By how much the Date of an HTTP answer (RFC 9110 §6.6.1: whole seconds) is ahead of this clock, in ms. */
async function dateAhead(url: string): Promise<number> {
  const before = systemClock.now();
  const told = Date.parse((await answerOf(url)).date);
  if (Number.isNaN(told)) throw new Error(`${url} does not say what time it is`);
  return told + 500 - (before + systemClock.now()) / 2;
}

// ---- names ----

/** Of the settings, and those that are asked for. */
export async function checkNames({ config, options, deps }: Patient): Promise<readonly Finding[]> {
  const hosts = new Set([
    ...(config.kafkaBrokers ?? []).map(hostOf),
    ...mongoHosts(config.mongodbUri),
    ...(config.outboundProxy === undefined ? [] : [new URL(config.outboundProxy).hostname]),
    ...(options.resolve ?? []),
  ]);
  const names = [...hosts].filter((host) => isIP(host) === 0);
  const findings = await Promise.all(
    names.map(async (host): Promise<Finding> => {
      const before = systemClock.monotonic();
      try {
        const addresses = await deps.resolveHost(host);
        const took = Math.round(systemClock.monotonic() - before);
        return { verdict: "ok", what: `${host} is ${addresses.join(", ")} (${took} ms)` };
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        const advice = "see /etc/resolv.conf, and whether the name is right";
        return { verdict: "wrong", what: `${host} has no address: ${reason}`, advice };
      }
    }),
  );
  return findings.length > 0 ? findings : [await anyName(deps)];
}

/** Reserved by RFC 2606, and in the DNS. */
const ANY_NAME = "example.com";

/** Where no name is known, any tells whether name servers answer. A closed network may do without. */
async function anyName(deps: Patient["deps"]): Promise<Finding> {
  try {
    await deps.resolveHost(ANY_NAME);
    return { verdict: "ok", what: `name servers answer (${ANY_NAME}); --resolve looks up the names of endpoints` };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const advice =
      "where endpoints lie in this network alone, say their names with --resolve; else see /etc/resolv.conf";
    return { verdict: "note", what: `${ANY_NAME} has no address: ${reason}`, advice };
  }
}

function hostOf(address: string): string {
  return address.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

/** None of a `mongodb+srv://` URI: its name has no address of its own, and connecting looks it up. */
function mongoHosts(uri: string | undefined): readonly string[] {
  const [, hosts = ""] = /^mongodb:\/\/(?:.*@)?([^/?]*)/s.exec(uri ?? "") ?? [];
  return hosts.split(",").flatMap((host) => (host === "" ? [] : [hostOf(host)]));
}

// ---- a running passbus ----

const ANSWER_MS = 5_000;

interface Answer {
  readonly status: number;
  readonly date: string;
  readonly text: string;
}

/** Not with fetch, which asks nobody at the ports of other protocols. */
async function answerOf(url: string): Promise<Answer> {
  const { statusCode, headers, body } = await request(url, { signal: AbortSignal.timeout(ANSWER_MS) });
  return { status: statusCode, date: String(headers.date), text: await body.text() };
}

/** Nobody there is wrong only where somebody was said to be. */
export async function checkService({ config, options, terminal }: Patient): Promise<readonly Finding[]> {
  const said = options.url ?? config.clientUrl;
  const url = (said ?? ownUrl(config)).replace(/\/$/, "");
  let response: Answer;
  try {
    response = await answerOf(`${url}/readyz`);
  } catch (error) {
    const what = `nobody answers at ${url}: ${error instanceof Error ? error.message : String(error)}`;
    if (said === undefined) return [{ verdict: "note", what, advice: "`passbus serve` starts one" }];
    return [{ verdict: "wrong", what, advice: "see whether it runs, where it listens, and what is in between" }];
  }
  const answered = readinessIn(response);
  if (answered === undefined) {
    const advice = "say with --url where passbus listens";
    return [{ verdict: "wrong", what: `${url} is answered by something that is no passbus`, advice }];
  }
  const notes = answered.notes.map((note): Finding => ({ verdict: "note", what: note }));
  if (response.status === 200) {
    const ready: Finding = { verdict: "ok", what: `a passbus answers at ${url}, and is ready` };
    return [ready, ...notes, ...(await keyFindings(url, config.clientKey, terminal))];
  }
  const what = `the passbus at ${url} is not ready: ${answered.reasons.join("; ")}`;
  return [{ verdict: "wrong", what, advice: "its log says more" }, ...notes];
}

/** A key whose role may not list is taken all the same. */
async function keyFindings(
  url: string,
  key: string | undefined,
  terminal: Patient["terminal"],
): Promise<readonly Finding[]> {
  if (key === undefined) return [];
  const failure = await connected({ url, key }, terminal, (transport) =>
    createClient(SubscriptionService, transport)
      .listSubscriptions({ pageSize: 1 }, { timeoutMs: ANSWER_MS })
      .then(
        () => undefined,
        (reason: unknown) => ConnectError.from(reason),
      ),
  );
  if (failure === undefined || failure.code === Code.PermissionDenied) {
    return [{ verdict: "ok", what: "it takes the key in PASSBUS_KEY" }];
  }
  const what = `a call with the key in PASSBUS_KEY fails: ${failure.message}`;
  if (failure.code !== Code.Unauthenticated) return [{ verdict: "wrong", what, advice: "its log says more" }];
  return [{ verdict: "wrong", what, advice: "`passbus keys create` makes one; is it the right passbus?" }];
}

interface Said {
  readonly reasons: readonly string[];
  readonly notes: readonly string[];
}

function readinessIn({ text }: Answer): Said | undefined {
  const body = parsed(text);
  if (typeof body !== "object" || body === null || !("ready" in body)) return undefined;
  const texts = (value: unknown) => (Array.isArray(value) ? value.map(String) : []);
  return {
    reasons: "reasons" in body ? texts(body.reasons) : [],
    notes: "notes" in body ? texts(body.notes) : [],
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Where a passbus with these settings is reached from the same machine. */
function ownUrl({ listen: { host, port }, tlsCertFile }: Patient["config"]): string {
  const reached = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : host.includes(":") ? `[${host}]` : host;
  return `${tlsCertFile === undefined ? "http" : "https"}://${reached}:${port}`;
}
