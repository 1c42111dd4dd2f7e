/** A server of every RPC that there is: it answers with what it was given, else with nothing, and keeps who was called. */
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { create, type DescMethod, type Message } from "@bufbuild/protobuf";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { nameOf, SERVICES } from "./everyone.ts";

/** What a method answers, by its name: passbus.v1.EventService/GetEvent. */
export type Answers = Readonly<Record<string, (request: Message) => Message>>;

export interface AnsweringServer {
  readonly url: string;
  /** The names of the methods that were called. */
  readonly called: ReadonlySet<string>;
  stop(): Promise<void>;
}

export async function answeringServer(answers: Answers = {}): Promise<AnsweringServer> {
  const called = new Set<string>();
  const implement = (method: DescMethod) => {
    const name = nameOf(method);
    const answer = answers[name] ?? (() => create(method.output));
    return implementation(method, (request) => {
      called.add(name);
      return answer(request);
    });
  };
  const routes = (router: ConnectRouter) => {
    for (const service of SERVICES) {
      const methods = service.methods.map((method) => [method.localName, implement(method)]);
      router.service(service, Object.fromEntries(methods) as ServiceImpl<typeof service>);
    }
  };
  const server = createServer(connectNodeAdapter({ routes }));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    called,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Of a stream, one answer, or one for each message that came. */
function implementation(method: DescMethod, answer: (request: Message) => Message): unknown {
  switch (method.methodKind) {
    case "unary":
      return answer;
    case "server_streaming":
      return async function* (request: Message) {
        yield answer(request);
      };
    case "bidi_streaming":
      return async function* (requests: AsyncIterable<Message>) {
        for await (const request of requests) yield answer(request);
      };
    case "client_streaming":
      return async (requests: AsyncIterable<Message>) => {
        let last = create(method.input) as Message;
        for await (const request of requests) last = request;
        return answer(last);
      };
    default:
      throw new Error(`${nameOf(method)} is of a kind that nobody answers here`);
  }
}
