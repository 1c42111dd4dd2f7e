/** Settings that are allowed together, and hardly meant: what one of them says has no effect, or is a risk. */
import type { FieldViolation } from "../kernel/errors.ts";
import type { Config } from "./config.ts";
import { SETTINGS } from "./settings.ts";

type Name = keyof Config;

/** What only one deployment reads. */
const EMBEDDED_ONLY: readonly Name[] = ["dataDir", "maxBacklog"];
const KAFKA: readonly Name[] = Object.keys(SETTINGS).filter((name) => name.startsWith("kafka")) as Name[];
/** The embedded log bears the topic's name too. */
const DISTRIBUTED_ONLY: readonly Name[] = KAFKA.filter((name) => name !== "kafkaTopic" && name !== "kafkaBrokers");

/** `given` names the variables that the environment sets. */
export function adviceOn(config: Config, given: ReadonlySet<string>): readonly FieldViolation[] {
  const isDistributed = config.kafkaBrokers !== undefined;
  const idle = isDistributed ? EMBEDDED_ONLY : DISTRIBUTED_ONLY;
  const deployment = isDistributed ? "distributed" : "embedded";
  const found = idle
    .filter((name) => given.has(SETTINGS[name].variable))
    .map((name) => advice(name, `has no effect: the deployment is the ${deployment} one`));
  const { payloadRetentionMs: payloadMs, eventRetentionMs } = config;
  if (payloadMs !== undefined && payloadMs >= eventRetentionMs) {
    found.push(
      advice("payloadRetentionMs", `has no effect: an event is gone after ${SETTINGS.eventRetentionMs.variable}`),
    );
  }
  if (config.tlsCertFile === undefined && !isLoopback(config.listen.host)) {
    const description = "is open to other machines without TLS: keys travel readable, unless a proxy before it has TLS";
    found.push(advice("listen", description));
  }
  if (config.allowHttp) {
    found.push(advice("allowHttp", "lets webhooks leave unencrypted: whoever is on the way reads and changes them"));
  }
  if (isDistributed && config.signingSeeds === undefined) {
    found.push(advice("signingSeeds", "is not set: no subscription can ask for v1a (ed25519) signatures"));
  }
  return found;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function advice(name: Name, description: string): FieldViolation {
  return { field: SETTINGS[name].variable, description };
}
