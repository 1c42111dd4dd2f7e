/** Calls of every method that there is, whatever its shape: what the walk of roles and tenants is made of. */
import { create, type DescMessage, type DescMethod, type DescService, type MessageShape } from "@bufbuild/protobuf";
import { type Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { Integrations } from "../../gen/io/integrations_pb.js";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { within } from "./within.ts";

/** Every service that passbus has; test/walk.test.ts holds the list against what the server itself says. */
export const SERVICES: readonly DescService[] = [
  SubscriptionService,
  EventService,
  DeliveryService,
  InspectorService,
  AccessService,
  Integrations,
  Health,
  ServerReflection,
];

export const METHODS: readonly DescMethod[] = SERVICES.flatMap(({ methods }) => methods);

export const nameOf = (method: DescMethod): string => `${method.parent.typeName}/${method.name}`;

/** What a call came to: its answer (of a stream, the first one; of an empty one, none), or the error. */
export type Answer =
  | { readonly code: "ok"; readonly message: MessageShape<DescMessage> | undefined; readonly text?: never }
  | { readonly code: Code; readonly text: string; readonly message?: never };

export type Fields = Readonly<Record<string, unknown>>;

/** One caller, over a connection of its own. */
export class Caller implements Disposable {
  readonly #sessions: Http2SessionManager;
  readonly #transport: Transport;

  /** Without a key where it is undefined. */
  constructor(url: string, key: string | undefined) {
    this.#sessions = new Http2SessionManager(url);
    this.#transport = createGrpcTransport({
      baseUrl: url,
      sessionManager: this.#sessions,
      interceptors: [
        (next) => (request) => {
          if (key !== undefined) request.header.set("authorization", `Bearer ${key}`);
          return next(request);
        },
      ],
    });
  }

  async call(method: DescMethod, fields: Fields = {}): Promise<Answer> {
    const ended = new AbortController();
    const client = createClient(method.parent, this.#transport);
    const call = Reflect.get(client, method.localName) as (
      request: unknown,
      options: { readonly signal: AbortSignal },
    ) => Promise<MessageShape<DescMessage>> | AsyncIterable<MessageShape<DescMessage>>;
    const request = create(method.input, fields);
    const sent = method.methodKind === "bidi_streaming" || method.methodKind === "client_streaming";
    try {
      const answer = call(sent ? once(request) : request, { signal: ended.signal });
      const first = Symbol.asyncIterator in answer ? firstOf(answer) : answer;
      return { code: "ok", message: await within(20_000, nameOf(method), first) };
    } catch (error) {
      const { code, rawMessage } = ConnectError.from(error);
      return { code, text: rawMessage };
    } finally {
      ended.abort();
    }
  }

  [Symbol.dispose](): void {
    this.#sessions.abort();
  }
}

async function* once<T>(item: T) {
  yield item;
}

async function firstOf<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  const next = await items[Symbol.asyncIterator]().next();
  return next.done === true ? undefined : next.value;
}
