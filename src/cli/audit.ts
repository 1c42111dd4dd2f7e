/** `passbus audit`: who changed what, and who was refused. */
import { toJsonString } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { Option } from "commander";
import { type AuditRecord, AuditRecordSchema } from "../../gen/passbus/v1/access_service_pb.js";
import type { AddCommand, Terminal } from "./cli.ts";
import { addOutputOptions, type OutputOptions } from "./connection.ts";
import { withAccess } from "./keys.ts";
import { moment } from "./moments.ts";
import { count, listed, momentOf, type Row, shown, tableOf, WHOLE } from "./table.ts";

interface AuditOptions extends OutputOptions {
  readonly actor?: string;
  readonly action?: string;
  readonly target?: string;
  readonly refused?: true;
  readonly changes?: true;
  readonly since?: Timestamp;
  readonly until?: Timestamp;
  readonly limit: number;
}

export function auditCommand(): AddCommand {
  return (program, terminal) => {
    const audit = program.command("audit").description("show who changed what, and who was refused, newest first");
    addOutputOptions(audit)
      .option("--actor <id>", "only by this key or portal session")
      .option("--action <rpc>", "only this call: passbus.v1.SubscriptionService/RotateSecret")
      .option("--target <id>", "only about this thing")
      .addOption(new Option("--refused", "only what was refused").conflicts("changes"))
      .option("--changes", "only what was changed")
      .option("--since <moment>", "from then on (1h, 7d, or a time)", moment)
      .option("--until <moment>", "before then", moment)
      .option("--limit <n>", "no more than so many", count, 50)
      .action((options: AuditOptions) => showAudit(options, terminal));
  };
}

async function showAudit(options: AuditOptions, terminal: Terminal): Promise<void> {
  const { actor = "", action = "", target = "", since, until } = options;
  const asked = {
    actor,
    action,
    target,
    ...((options.refused ?? options.changes) === true && { refused: options.refused === true }),
    ...(since !== undefined && { startTime: since }),
    ...(until !== undefined && { endTime: until }),
  };
  const records = await withAccess(options, terminal, (access) =>
    listed(options.limit, async (page) => {
      const { records: items, nextPageToken } = await access.listAuditRecords({ ...asked, ...page });
      return { items, nextPageToken };
    }),
  );
  if (options.json === true)
    for (const each of records) terminal.out(`${toJsonString(AuditRecordSchema, each, WHOLE)}\n`);
  else if (records.length === 0) terminal.err("nothing\n");
  else terminal.out(tableOf(["WHEN", "WHO", "WHAT", "ABOUT", "FROM", "CAME TO"], records.map(rowOf)));
}

function rowOf({ time, actor, action, target, peer, refused, code, count: times }: AuditRecord): Row {
  const answer = refused ? `refused: ${code}` : code === "" ? "done" : `failed: ${code}`;
  const result = times > 1n ? `${answer} (${times} times)` : answer;
  return [momentOf(time), shown(actor), shown(action), shown(target), peer, result];
}
