/** What `passbus doctor` finds of the settings, the keys, the store and the log. */
import { X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import type { DescribedSettings } from "../config/described.ts";
import { readKafkaTlsTexts, readTlsTexts } from "../config/refusals.ts";
import { systemClock } from "../kernel/clock.ts";
import type { PreparationStep } from "../kernel/preparation.ts";
import type { Finding, Patient } from "./doctor.ts";

export function checkSettings({ settings, unknown, advice }: DescribedSettings): readonly Finding[] {
  const wrong = settings.flatMap(({ variable, wrong: flaw }): Finding[] =>
    flaw === undefined ? [] : [{ verdict: "wrong", what: `${variable} ${flaw}`, advice: `change ${variable}` }],
  );
  const notes = [
    ...unknown.map(({ variable, nearest }): Finding => {
      return { verdict: "note", what: `${variable} is no setting`, advice: `${nearest} is the nearest` };
    }),
    ...advice.map(({ field, description }): Finding => ({ verdict: "note", what: `${field} ${description}` })),
  ];
  const given = settings.filter(({ from }) => from === "environment").length;
  const valid: Finding = { verdict: "ok", what: `valid; ${given} of ${settings.length} are set` };
  return [...(wrong.length === 0 ? [valid] : wrong), ...notes];
}

/** Others may do nothing with a key's file. */
const FOREIGN_BITS = 0o077;

const SOON_MS = 14 * 86_400_000;

/** The certificates in effect, where there are any. */
export async function checkTls({ config }: Patient): Promise<readonly Finding[]> {
  const pairs = [
    { texts: readTlsTexts(config), file: config.tlsCertFile, key: config.tlsKeyFile },
    { texts: kafkaPair(config), file: config.kafkaTlsCertFile, key: config.kafkaTlsKeyFile },
  ];
  const findings: Finding[] = [];
  for (const { texts, file = "", key = "" } of pairs) {
    if (texts === undefined) continue;
    findings.push(validityOf(texts.cert, file));
    findings.push(...(await modeOf(key, "note")));
  }
  return findings;
}

function kafkaPair(config: Patient["config"]): { readonly cert: string } | undefined {
  const certText = readKafkaTlsTexts(config)?.certText;
  return certText === undefined ? undefined : { cert: certText };
}

function validityOf(cert: string, file: string): Finding {
  const { validFrom, validTo } = new X509Certificate(cert);
  const leftMs = Date.parse(validTo) - systemClock.now();
  if (leftMs < 0) {
    return { verdict: "wrong", what: `the certificate ${file} ended ${validTo}`, advice: "renew it, and start again" };
  }
  if (Date.parse(validFrom) > systemClock.now()) {
    const advice = "see whether this machine's clock is right";
    return { verdict: "wrong", what: `the certificate ${file} begins ${validFrom}`, advice };
  }
  const verdict = leftMs < SOON_MS ? "note" : "ok";
  return { verdict, what: `the certificate ${file} is valid until ${validTo}` };
}

async function modeOf(file: string, verdict: "note" | "wrong"): Promise<readonly Finding[]> {
  if (process.platform === "win32") return [];
  const { mode } = await stat(file);
  if ((mode & FOREIGN_BITS) === 0) return [];
  const octal = (mode & 0o777).toString(8);
  return [{ verdict, what: `${file} has mode ${octal}: others reach the key in it`, advice: `chmod 600 ${file}` }];
}

/** The files of the embedded deployment; keys of the settings have been read with them. */
export async function checkKeys({ config, deps }: Patient): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const file of deps.keyFiles(config)) {
    // The check of the store says that it is missing.
    if (!existsSync(file)) continue;
    const modes = await modeOf(file, "wrong");
    findings.push(...modes);
    if (modes.length === 0) findings.push({ verdict: "ok", what: `${file} is its owner's alone` });
  }
  if (config.encryptionKeys !== undefined)
    findings.push({ verdict: "ok", what: "encryption keys come from the settings" });
  if (config.signingSeeds !== undefined) findings.push({ verdict: "ok", what: "signing seeds come from the settings" });
  return findings;
}

export async function checkStore({ config, deps }: Patient): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const store = deps.embeddedStore(config);
  if (store !== undefined) {
    const { version, newest, damage } = store;
    if (damage !== undefined) {
      const advice = "stop passbus, keep a copy of the data directory, and restore a backup";
      findings.push({ verdict: "wrong", what: `the store is damaged: ${damage}`, advice });
    }
    if (version > newest) {
      const what = `the store has schema ${version}, this passbus knows ${newest}`;
      findings.push({ verdict: "wrong", what, advice: "use the passbus that wrote it, or a newer one" });
    } else if (version < newest) {
      const what = `the store has schema ${version}, this passbus ${newest}`;
      findings.push({ verdict: "note", what, advice: "the next start brings it up to date" });
    }
  }
  const preparation = deps.preparation(config);
  try {
    const steps = await preparation.survey();
    const isDistributed = config.kafkaBrokers !== undefined;
    return [...findings, ...stepFindings(steps, isDistributed)];
  } finally {
    await preparation.close();
  }
}

/** More than this many of a kind are told as one. */
const TOLD = 4;

function stepFindings(steps: readonly PreparationStep[], isDistributed: boolean): readonly Finding[] {
  const present = steps.filter(({ state }) => state === "present").map(({ what }) => what);
  const makeable = steps.filter(({ state, make }) => state !== "present" && make !== undefined).map(told);
  const hopeless = steps.filter(({ state, make }) => state !== "present" && make === undefined).map(told);
  // `serve` makes what an embedded deployment lacks, and refuses to start without what a distributed one does.
  const lacks = isDistributed ? "wrong" : "note";
  const init = isDistributed ? "run `passbus init`" : "the first `passbus serve` makes it, and so does `passbus init`";
  return [
    ...together(present, (what) => ({ verdict: "ok", what })),
    ...together(makeable, (what) => ({ verdict: lacks, what, advice: init })),
    ...hopeless.map((what): Finding => ({ verdict: "wrong", what, advice: "mend it: passbus can't" })),
  ];
}

function told({ what, state, detail }: PreparationStep): string {
  return `${what}: ${state}${detail === undefined ? "" : ` (${detail})`}`;
}

function together(items: readonly string[], finding: (what: string) => Finding): readonly Finding[] {
  if (items.length <= TOLD) return items.map(finding);
  return [finding(`${items.slice(0, TOLD).join("\n")}\nand ${items.length - TOLD} more`)];
}

/** Whether the keys open what is sealed in the store. */
export async function checkKeyUse({ config, deps }: Patient): Promise<readonly Finding[]> {
  const use = await deps.encryptionKeyUse(config);
  if (use === undefined) return [];
  const { texts, newest, unopened, unopenedCount } = use;
  const findings: Finding[] = [];
  if (unopenedCount > 0) {
    const keys = [...new Set(unopened.map(({ keyId }) => keyId))].join(", ");
    findings.push({
      verdict: "wrong",
      what: `${unopenedCount} secrets can't be opened; they are sealed under ${keys}`,
      advice: "give passbus that key again (PASSBUS_ENCRYPTION_KEYS): their subscriptions can't be signed for",
    });
  }
  const older = [...texts.keys()].filter((id) => id !== newest);
  if (unopenedCount === 0 && older.length > 0) {
    const what = `some secrets are still sealed under ${older.join(", ")}`;
    findings.push({ verdict: "note", what, advice: "`passbus keys reencrypt` seals them under the newest key" });
  }
  const total = [...texts.values()].reduce((sum, number) => sum + number, 0);
  return findings.length > 0 ? findings : [{ verdict: "ok", what: `${total} can be opened` }];
}
