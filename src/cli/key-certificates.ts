/** `passbus keys bind|unbind`: which client certificates speak for a key (docs/access.md). */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { toJsonString } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import type { Command } from "commander";
import { AccessService, type Key, KeySchema } from "../../gen/passbus/v1/access_service_pb.js";
import { signProof } from "../access/certificate-proof.ts";
import { systemClock } from "../kernel/clock.ts";
import { CommandFailed, EXIT, type Terminal } from "./cli.ts";
import { addOutputOptions, connected, type OutputOptions } from "./connection.ts";
import { refused, WHOLE } from "./table.ts";

interface BindOptions extends OutputOptions {
  readonly certificate: string;
  readonly privateKey: string;
}

export function addCertificateCommands(keys: Command, terminal: Terminal): void {
  const bind = keys
    .command("bind")
    .description("let a client certificate speak for a key: who connects with it needs no other")
    .argument("<id>", "the key's id (key_…)")
    .requiredOption("--certificate <file>", "the certificate, in PEM or DER; of a chain, the first")
    .requiredOption("--private-key <file>", "its private key, in PEM: signs here that it is yours, and never leaves");
  addOutputOptions(bind, "the key in JSON, for programs").action((id: string, options: BindOptions) => {
    const certificate = readCertificate(options.certificate);
    const privateKey = readPrivateKey(options.privateKey, certificate);
    return changed(options, terminal, async (access) => {
      const nowMs = systemClock.now();
      const signature = signProof(privateKey, id, nowMs);
      const signed = { certificate: certificate.raw, signedAt: timestampFromMs(nowMs), signature };
      return (await access.bindKeyCertificate({ id, ...signed })).key;
    });
  });
  const unbind = keys
    .command("unbind")
    .description("take a key's client certificate away: it counts no more within a second")
    .argument("<id>", "the key's id (key_…)")
    .argument("<fingerprint>", "the certificate's SHA-256, as `openssl x509 -fingerprint -sha256` writes it");
  addOutputOptions(unbind, "the key in JSON, for programs").action(
    (id: string, fingerprint: string, options: OutputOptions) =>
      changed(options, terminal, async (access) => (await access.unbindKeyCertificate({ id, fingerprint })).key),
  );
}

/** Read here, so that nothing else of the file leaves: a private key may stand beside it. */
function readCertificate(file: string): X509Certificate {
  try {
    return new X509Certificate(readFileSync(file));
  } catch (cause) {
    const message = `--certificate: ${JSON.stringify(file)} is no certificate that can be read`;
    throw new CommandFailed(message, { exitCode: EXIT.usage, cause });
  }
}

function readPrivateKey(file: string, certificate: X509Certificate): KeyObject {
  const quoted = JSON.stringify(file);
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(readFileSync(file));
  } catch (cause) {
    const message = `--private-key: ${quoted} is no private key in PEM, without a passphrase, that can be read`;
    throw new CommandFailed(message, { exitCode: EXIT.usage, cause });
  }
  if (certificate.checkPrivateKey(privateKey)) return privateKey;
  throw new CommandFailed(`--private-key: ${quoted} is not that of the certificate`, { exitCode: EXIT.usage });
}

async function changed(
  options: OutputOptions,
  terminal: Terminal,
  change: (access: Client<typeof AccessService>) => Promise<Key | undefined>,
): Promise<void> {
  const key = await connected(options, terminal, (transport) =>
    change(createClient(AccessService, transport)).catch((reason: unknown) => {
      throw reason instanceof CommandFailed ? reason : refused(reason);
    }),
  );
  if (key === undefined) return;
  if (options.json === true) return terminal.out(`${toJsonString(KeySchema, key, WHOLE)}\n`);
  const bound = key.certificateFingerprints;
  terminal.err(bound.length === 0 ? `${key.id}: no certificates\n` : `${key.id}: bound to\n`);
  for (const fingerprint of bound) terminal.out(`${fingerprint}\n`);
}
