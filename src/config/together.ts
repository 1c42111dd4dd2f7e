/** What settings ask of one another: rules that no single value can break. */
import type { FieldViolation } from "../kernel/errors.ts";
import type { Config } from "./config.ts";
import { SETTINGS } from "./settings.ts";

type Name = keyof Config;

/** Set together or not at all. */
const GROUPS: readonly (readonly Name[])[] = [
  ["tlsCertFile", "tlsKeyFile"],
  ["jwtIssuer", "jwtAudience"],
  ["mongodbUri", "kafkaBrokers"],
  ["kafkaTlsCertFile", "kafkaTlsKeyFile"],
  ["kafkaSaslMechanism", "kafkaSaslUsername", "kafkaSaslPassword"],
];

/** The first says nothing without the second. */
const NEEDS: readonly (readonly [name: Name, needed: Name])[] = [
  ["tlsClientCa", "tlsCertFile"],
  ["tlsClientCrl", "tlsClientCa"],
  ["jwtJwksUrl", "jwtIssuer"],
];

/** Of values that each have their shape; empty where they go together. */
export function violationsTogether(values: Partial<Config>): readonly FieldViolation[] {
  return [
    ...GROUPS.flatMap((names) => missingOf(names, values)),
    ...NEEDS.flatMap(([name, needed]) => (values[name] === undefined ? [] : missingOf([name, needed], values))),
    ...distributedOnly(values),
  ];
}

function missingOf(names: readonly Name[], values: Partial<Config>): readonly FieldViolation[] {
  const present = names.find((name) => values[name] !== undefined);
  if (present === undefined) return [];
  return names
    .filter((name) => values[name] === undefined)
    .map((name) => violation(name, `must be set too where ${SETTINGS[present].variable} is`));
}

function distributedOnly(values: Partial<Config>): readonly FieldViolation[] {
  const wrong: FieldViolation[] = [];
  if (values.kafkaBrokers === undefined) {
    if (values.roles !== undefined && new Set(values.roles).size < 2) {
      wrong.push(violation("roles", "must be api,worker, or unset: the embedded deployment is one process with both"));
    }
    return wrong;
  }
  if (values.encryptionKeys === undefined) {
    const is = SETTINGS.encryptionKeys.shape.is;
    wrong.push(violation("encryptionKeys", `must be set where ${SETTINGS.kafkaBrokers.variable} is: ${is}`));
  }
  const bindings = values.kafkaTenants ?? [];
  if (!bindings.some(({ topic }) => topic === undefined || topic === values.kafkaTopic)) {
    const description = `must name ${SETTINGS.kafkaTopic.variable} too, for example ${values.kafkaTopic}=*, or nobody may publish`;
    wrong.push(violation("kafkaTenants", description));
  }
  if (values.kafkaDeadTopic === values.kafkaTopic || bindings.some(({ topic }) => topic === values.kafkaDeadTopic)) {
    wrong.push(violation("kafkaDeadTopic", "must not be a topic that is read: dead letters would come in again"));
  }
  if (values.kafkaTls === false && (values.kafkaTlsCaFile ?? values.kafkaTlsCertFile) !== undefined) {
    wrong.push(violation("kafkaTls", "must be true where certificates are given"));
  }
  return wrong;
}

function violation(name: Name, description: string): FieldViolation {
  return { field: SETTINGS[name].variable, description };
}
