/** `passbus subscriptions test|preview`: the webhook of a subscription, sent now or only shown, beside all deliveries. */
import { toJsonString } from "@bufbuild/protobuf";
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { type Command, Option } from "commander";
import {
  PreviewPayloadResponseSchema,
  SubscriptionService,
  TestSubscriptionResponseSchema,
} from "../../gen/passbus/v1/subscription_service_pb.js";
import { CommandFailed, EXIT, type Terminal } from "./cli.ts";
import { addOutputOptions, type ConnectionOptions, connected, type OutputOptions } from "./connection.ts";
import { KIND_WORDS, kindOf } from "./event-kinds.ts";
import { fieldsOf, refused, shown, WHOLE } from "./table.ts";

interface WebhookOptions extends OutputOptions {
  readonly type?: string;
}

interface PreviewOptions extends WebhookOptions {
  readonly event?: string;
}

export function addWebhookCommands(group: Command, terminal: Terminal): void {
  const typeOption = () =>
    new Option("--type <type>", "the built-in sample of this type; left out: the first that it gets").choices(
      KIND_WORDS,
    );
  const test = group
    .command("test")
    .description("send a sample now, also where it is disabled, and show what was sent and what came back")
    .argument("<id>")
    .addOption(typeOption());
  addOutputOptions(test).action((id: string, options: WebhookOptions) => testSubscription(id, options, terminal));
  const preview = group
    .command("preview")
    .description("show a webhook as it would be sent, byte for byte")
    .argument("<id>")
    .addOption(typeOption())
    .option("--event <id>", "this event, which is stored, instead of a sample");
  addOutputOptions(preview).action((id: string, options: PreviewOptions) => previewPayload(id, options, terminal));
}

/** Ends with a failure where the endpoint did not take it. */
async function testSubscription(id: string, options: WebhookOptions, terminal: Terminal): Promise<void> {
  const { type: eventType, operationalEventType } = kindOf(options.type);
  const answer = await asked(options, terminal, (client) =>
    client.testSubscription({ id, eventType, operationalEventType }),
  );
  const { attempt, request, timings } = answer;
  if (options.json === true) {
    terminal.out(`${toJsonString(TestSubscriptionResponseSchema, answer, WHOLE)}\n`);
  } else {
    if (request !== undefined) terminal.out(`${requestText(request)}\n`);
    const took: readonly (readonly [string, Duration | undefined])[] = [
      ["DNS", timings?.dns],
      ["connect", timings?.connect],
      ["TLS", timings?.tls],
      ["first byte", timings?.firstByte],
      ["total", timings?.total],
    ];
    terminal.out(
      fieldsOf([
        ["status", attempt?.statusCode ? String(attempt.statusCode) : "none"],
        ["error", [attempt?.errorCode ?? "", shown(attempt?.errorMessage ?? "")].filter((part) => part).join(": ")],
        ["response", shown(attempt?.responseExcerpt ?? "")],
        ...took.map(([name, time]): [string, string] => [name, time === undefined ? "" : `${durationMs(time)} ms`]),
      ]),
    );
  }
  if (attempt?.errorCode !== "") throw new CommandFailed(`the endpoint of ${id} did not take it`);
}

async function previewPayload(id: string, options: PreviewOptions, terminal: Terminal): Promise<void> {
  const { event, type } = options;
  if (event !== undefined && type !== undefined) {
    throw new CommandFailed("say --type or --event, not both", { exitCode: EXIT.usage });
  }
  const { type: sample, operationalEventType: operationalSample } = kindOf(type);
  const answer = await asked(options, terminal, (client) =>
    client.previewPayload({
      subscription: { id },
      ...(event === undefined ? {} : { source: { case: "eventId", value: event } }),
      ...(sample === 0 ? {} : { source: { case: "sample", value: sample } }),
      ...(operationalSample === 0 ? {} : { source: { case: "operationalSample", value: operationalSample } }),
    }),
  );
  if (options.json === true) terminal.out(`${toJsonString(PreviewPayloadResponseSchema, answer, WHOLE)}\n`);
  else terminal.out(requestText(answer));
}

interface ShownRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** As it goes over the wire, but for what could move the cursor. */
function requestText({ method, url, headers, body }: ShownRequest): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${shown(value)}\n`);
  return `${method} ${shown(url)}\n${lines.join("")}\n${shown(Buffer.from(body).toString("utf8"))}\n`;
}

function asked<T>(
  options: ConnectionOptions,
  terminal: Terminal,
  call: (client: Client<typeof SubscriptionService>) => Promise<T>,
): Promise<T> {
  return connected(options, terminal, (transport) =>
    call(createClient(SubscriptionService, transport)).catch((reason) => {
      throw refused(reason);
    }),
  );
}
