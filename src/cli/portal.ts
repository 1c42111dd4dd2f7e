/** `passbus portal create|list|revoke`: tokens for customers' browsers, each limited to one entity. */
import { toJsonString } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Command, InvalidArgumentError } from "commander";
import {
  CreatePortalSessionResponseSchema,
  type PortalSession,
  PortalSessionSchema,
} from "../../gen/passbus/v1/access_service_pb.js";
import type { AddCommand, Terminal } from "./cli.ts";
import { addOutputOptions, DONE_JSON, done, type OutputOptions } from "./connection.ts";
import { withAccess } from "./keys.ts";
import { durationMs } from "./moments.ts";
import { count, listed, momentOf, type Row, shown, tableOf, WHOLE } from "./table.ts";

interface CreateOptions extends OutputOptions {
  readonly entity: string;
  readonly lifetime?: number;
}

interface ListOptions extends OutputOptions {
  readonly limit: number;
}

export function portalCommand(): AddCommand {
  return (program, terminal) => {
    const portal = program.command("portal").description("portal sessions: tokens for customers' browsers");
    const create = portal
      .command("create")
      .description("make a session; its token is shown once")
      .requiredOption("--entity <id>", "the one entity that it sees")
      .option("--lifetime <duration>", "1m to 24h; without it, 1h", lifetime);
    addOutputOptions(create, "the session and its token in JSON, for programs").action((options: CreateOptions) =>
      createSession(options, terminal),
    );
    addListCommand(portal, terminal);
    const revoke = portal
      .command("revoke")
      .description("end sessions: they count no more within a second")
      .argument("<id...>", "the sessions' ids (ses_…)");
    addOutputOptions(revoke, DONE_JSON).action((ids: readonly string[], options: OutputOptions) =>
      revokeSessions(ids, options, terminal),
    );
  };
}

function addListCommand(portal: Command, terminal: Terminal): void {
  const list = portal.command("list").description("show the environment's sessions, newest first; never their tokens");
  addOutputOptions(list)
    .option("--limit <n>", "no more than so many", count, 50)
    .action((options: ListOptions) => listSessions(options, terminal));
}

function lifetime(text: string): number {
  const ms = durationMs(text);
  if (ms === undefined) throw new InvalidArgumentError("It must be a length of time: 10m, 2h.");
  return ms;
}

async function createSession(options: CreateOptions, terminal: Terminal): Promise<void> {
  const asked = options.lifetime === undefined ? {} : { lifetime: durationFromMs(options.lifetime) };
  const answer = await withAccess(options, terminal, (access) =>
    access.createPortalSession({ entityId: options.entity, ...asked }),
  );
  if (options.json === true) {
    return terminal.out(`${toJsonString(CreatePortalSessionResponseSchema, answer, WHOLE)}\n`);
  }
  const { session, token } = answer;
  terminal.err(`${session?.id}: until ${momentOf(session?.expiresAt)}. It is shown this once:\n`);
  // The token alone, so that a script can take it.
  terminal.out(`${token}\n`);
}

async function listSessions(options: ListOptions, terminal: Terminal): Promise<void> {
  const sessions = await withAccess(options, terminal, (access) =>
    listed(options.limit, async (page) => {
      const { sessions: items, nextPageToken } = await access.listPortalSessions(page);
      return { items, nextPageToken };
    }),
  );
  if (options.json === true) {
    for (const each of sessions) terminal.out(`${toJsonString(PortalSessionSchema, each, WHOLE)}\n`);
  } else if (sessions.length === 0) terminal.err("no portal sessions\n");
  else terminal.out(tableOf(["ID", "ENTITY", "CREATED", "ENDS"], sessions.map(rowOf)));
}

function rowOf({ id, entityId, createdAt, expiresAt, revokedAt }: PortalSession): Row {
  const ends = revokedAt === undefined ? momentOf(expiresAt) : `revoked ${momentOf(revokedAt)}`;
  return [id, shown(entityId), momentOf(createdAt), ends];
}

async function revokeSessions(ids: readonly string[], options: OutputOptions, terminal: Terminal): Promise<void> {
  await withAccess(options, terminal, async (access) => {
    for (const id of ids) {
      await access.revokePortalSession({ id });
      done(terminal, options, `${id}: revoked`, { revoked: id });
    }
  });
}
