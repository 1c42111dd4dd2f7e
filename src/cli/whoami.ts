/** `passbus whoami`: whom the key speaks for, and how long. */
import { toJsonString } from "@bufbuild/protobuf";
import { type Caller, CallerSchema, Role as WireRole } from "../../gen/passbus/v1/access_service_pb.js";
import type { AddCommand, Terminal } from "./cli.ts";
import { addOutputOptions, type OutputOptions } from "./connection.ts";
import { withAccess } from "./keys.ts";
import { fieldsOf, momentOf, shown, WHOLE, wordOf } from "./table.ts";

export function whoamiCommand(): AddCommand {
  return (program, terminal) => {
    const command = program.command("whoami").description("show whom the key speaks for, what it may, and its end");
    addOutputOptions(command, "with every method that it may call in JSON, for programs").action(
      (options: OutputOptions) => showCaller(options, terminal),
    );
  };
}

async function showCaller(options: OutputOptions, terminal: Terminal): Promise<void> {
  const { caller } = await withAccess(options, terminal, (access) => access.getCaller({}));
  if (caller === undefined) return;
  terminal.out(options.json === true ? `${toJsonString(CallerSchema, caller, WHOLE)}\n` : textOf(caller));
}

function textOf(caller: Caller): string {
  return fieldsOf([
    ["organisation", shown(caller.organisationId)],
    ["environment", shown(caller.environment)],
    ["role", caller.role === WireRole.UNSPECIFIED ? "portal session" : wordOf(WireRole, caller.role)],
    ["entity", shown(caller.entityId)],
    ["key", caller.keyId],
    ["ends", momentOf(caller.expiresAt) || "never"],
    ["may call", `${caller.methods.length} methods: --json names them`],
    ["operates", caller.operatesService ? "this passbus" : ""],
  ]);
}
