/** `passbus keys bind|unbind`: which client certificates speak for a key (docs/access.md). */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { toJsonString } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import type { Command } from "commander";
import { AccessService, type Key, KeySchema } from "../../gen/passbus/v1/access_service_pb.js";
import { CommandFailed, EXIT, type Terminal } from "./cli.ts";
import { addOutputOptions, connected, type OutputOptions } from "./connection.ts";
import { refused, WHOLE } from "./table.ts";

interface BindOptions extends OutputOptions {
  readonly certificate: string;
}

export function addCertificateCommands(keys: Command, terminal: Terminal): void {
  const bind = keys
    .command("bind")
    .description("let a client certificate speak for a key: who connects with it needs no other")
    .argument("<id>", "the key's id (key_…)")
    .requiredOption("--certificate <file>", "the certificate, in PEM or DER; of a chain, the first");
  addOutputOptions(bind, "the key in JSON, for programs").action((id: string, options: BindOptions) =>
    changed(options, terminal, async (access) => {
      const certificate = readCertificate(options.certificate);
      return (await access.bindKeyCertificate({ id, certificate })).key;
    }),
  );
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
function readCertificate(file: string): Uint8Array {
  try {
    return new X509Certificate(readFileSync(file)).raw;
  } catch (cause) {
    const message = `--certificate: ${JSON.stringify(file)} is no certificate that can be read`;
    throw new CommandFailed(message, { exitCode: EXIT.usage, cause });
  }
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
