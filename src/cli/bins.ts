/** `passbus bins create|list|get|delete|requests|watch`: endpoints of our own that show what arrives. */
import { toJsonString } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { type Command, InvalidArgumentError } from "commander";
import {
  type Bin,
  type BinRequest,
  BinRequestSchema,
  BinSchema,
  InspectorService,
  SignatureVerdict,
} from "../../gen/passbus/v1/inspector_service_pb.js";
import type { AddCommand, Terminal } from "./cli.ts";
import {
  addOutputOptions,
  type ConnectionOptions,
  connected,
  DONE_JSON,
  done,
  type OutputOptions,
} from "./connection.ts";
import { follow } from "./follow.ts";
import { durationMs } from "./moments.ts";
import { count, fieldsOf, listed, momentOf, refused, shown, tableOf, WHOLE, wordOf } from "./table.ts";

interface CreateOptions extends OutputOptions {
  readonly status?: number;
  readonly lifetime?: number;
  readonly description?: string;
}

interface ListOptions extends OutputOptions {
  readonly limit: number;
}

interface WatchOptions extends OutputOptions {
  readonly limit?: number;
}

const BIN_ID = "the bin's id (bin_…)";

export function binsCommand(): AddCommand {
  return (program, terminal) => {
    const bins = program.command("bins").description("request bins: endpoints of our own that show what arrives");
    const create = bins
      .command("create")
      .description("make a bin, and show its URL")
      .option("--status <code>", "what it answers with: 200 to 299, or 400 to 599", count)
      .option("--lifetime <duration>", "1m and longer; without it, as long as the server lets it live", lifetime)
      .option("--description <text>", "what it is for");
    addOutputOptions(create, "the bin in JSON, for programs").action((options: CreateOptions) =>
      createBin(options, terminal),
    );
    addReading(bins, terminal);
    const remove = bins.command("delete").description("delete bins with what they hold").argument("<id...>", BIN_ID);
    addOutputOptions(remove, DONE_JSON).action((ids: readonly string[], options: OutputOptions) =>
      deleteBins(ids, options, terminal),
    );
  };
}

function addReading(bins: Command, terminal: Terminal): void {
  const list = bins.command("list").description("show the environment's bins, newest first");
  addOutputOptions(list)
    .option("--limit <n>", "no more than so many", count, 50)
    .action((options: ListOptions) => listBins(options, terminal));
  const get = bins.command("get").description("show one bin").argument("<id>", BIN_ID);
  addOutputOptions(get, "the bin in JSON, for programs").action((id: string, options: OutputOptions) =>
    showBin(id, options, terminal),
  );
  const requests = bins.command("requests").description("show what arrived, newest first").argument("<id>", BIN_ID);
  addOutputOptions(requests)
    .option("--limit <n>", "no more than so many", count, 50)
    .action((id: string, options: ListOptions) => listRequests(id, options, terminal));
  const watch = bins.command("watch").description("show requests as they arrive").argument("<id>", BIN_ID);
  addOutputOptions(watch)
    .option("--limit <n>", "end after so many", count)
    .action((id: string, options: WatchOptions) => watchBin(id, options, terminal));
}

function lifetime(text: string): number {
  const ms = durationMs(text);
  if (ms === undefined) throw new InvalidArgumentError("It must be a length of time: 10m, 2h.");
  return ms;
}

function inspecting<T>(
  options: ConnectionOptions,
  terminal: Terminal,
  call: (inspector: Client<typeof InspectorService>) => Promise<T>,
): Promise<T> {
  return connected(options, terminal, (transport) =>
    call(createClient(InspectorService, transport)).catch((reason) => {
      throw refused(reason);
    }),
  );
}

async function createBin(options: CreateOptions, terminal: Terminal): Promise<void> {
  const { status, description = "", lifetime: ms } = options;
  const asked = {
    statusCode: status ?? 0,
    description,
    ...(ms !== undefined && { lifetime: durationFromMs(ms) }),
  };
  const { bin } = await inspecting(options, terminal, (inspector) => inspector.createBin(asked));
  if (bin === undefined) return;
  if (options.json === true) return terminal.out(`${toJsonString(BinSchema, bin, WHOLE)}\n`);
  terminal.err(`${bin.id}: until ${momentOf(bin.expiresAt)}; it answers ${bin.statusCode}\n`);
  // The URL alone, so that a script can take it.
  terminal.out(`${bin.url}\n`);
}

async function listBins(options: ListOptions, terminal: Terminal): Promise<void> {
  const bins = await inspecting(options, terminal, (inspector) =>
    listed(options.limit, async (page) => {
      const { bins: items, nextPageToken } = await inspector.listBins(page);
      return { items, nextPageToken };
    }),
  );
  if (options.json === true) {
    for (const bin of bins) terminal.out(`${toJsonString(BinSchema, bin, WHOLE)}\n`);
  } else if (bins.length === 0) terminal.err("no bins\n");
  else terminal.out(tableOf(["ID", "ANSWERS", "CREATED", "EXPIRES", "DESCRIPTION"], bins.map(rowOf)));
}

function rowOf({ id, statusCode, createdAt, expiresAt, description }: Bin) {
  return [id, String(statusCode), momentOf(createdAt), momentOf(expiresAt), shown(description)];
}

async function showBin(id: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const { bin } = await inspecting(options, terminal, (inspector) => inspector.getBin({ binId: id }));
  if (bin === undefined) return;
  if (options.json === true) return terminal.out(`${toJsonString(BinSchema, bin, WHOLE)}\n`);
  const fields = [
    ["id", bin.id],
    ["url", bin.url],
    ["answers", String(bin.statusCode)],
    ["created", momentOf(bin.createdAt)],
    ["expires", momentOf(bin.expiresAt)],
    ["description", shown(bin.description)],
  ] as const;
  terminal.out(fieldsOf(fields));
}

async function deleteBins(ids: readonly string[], options: OutputOptions, terminal: Terminal): Promise<void> {
  await inspecting(options, terminal, async (inspector) => {
    for (const id of ids) {
      await inspector.deleteBin({ binId: id });
      done(terminal, options, `deleted ${id}`, { deleted: id });
    }
  });
}

async function listRequests(id: string, options: ListOptions, terminal: Terminal): Promise<void> {
  const requests = await inspecting(options, terminal, (inspector) =>
    listed(options.limit, async (page) => {
      const { requests: items, nextPageToken } = await inspector.listBinRequests({ ...page, binId: id });
      return { items, nextPageToken };
    }),
  );
  for (const request of requests) terminal.out(requestLine(request, options));
  if (requests.length === 0 && options.json !== true) terminal.err("nothing has arrived\n");
}

async function watchBin(id: string, options: WatchOptions, terminal: Terminal): Promise<void> {
  await connected(options, terminal, (transport) =>
    follow<BinRequest>(terminal, {
      limit: options.limit,
      what: "requests",
      async *open(signal) {
        const stream = createClient(InspectorService, transport).watchBin({ binId: id }, { signal });
        for await (const { request } of stream) yield { item: request, skipped: 0 };
      },
      print: (request) => terminal.out(requestLine(request, options)),
    }),
  );
}

function requestLine(request: BinRequest, { json }: OutputOptions): string {
  if (json === true) return `${toJsonString(BinRequestSchema, request, WHOLE)}\n`;
  const { receivedAt, method, path, body, headers, verdict, verdictReason } = request;
  const what = `${method.padEnd(6)} ${shown(headers["webhook-id"] ?? path)}  ${body.length} B`;
  return `${momentOf(receivedAt)}  ${what}  ${verdictWord(verdict)}: ${verdictReason}\n`;
}

/** What the server says of a request's signatures, in a word. */
export function verdictWord(verdict: SignatureVerdict): string {
  return wordOf(SignatureVerdict, verdict);
}
