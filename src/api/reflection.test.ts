import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { type TestApi, testApi } from "../../test/support/api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

type Ask = ServerReflectionRequest["messageRequest"];

async function ask(...asks: Ask[]): Promise<ServerReflectionResponse["messageResponse"][]> {
  const client = createClient(ServerReflection, createGrpcTransport({ baseUrl: api.url }));
  const requests = (async function* () {
    for (const messageRequest of asks) yield { host: "here", messageRequest };
  })();
  const answers: ServerReflectionResponse["messageResponse"][] = [];
  for await (const answer of client.serverReflectionInfo(requests)) answers.push(answer.messageResponse);
  return answers;
}

describe("reflection", () => {
  it("lists what is served, without a key", async () => {
    const [answer] = await ask({ case: "listServices", value: "" });
    if (answer?.case !== "listServicesResponse") throw new Error(`answered ${answer?.case}`);
    expect(answer.value.service.map(({ name }) => name)).toEqual([
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "io.Integrations",
      "passbus.v1.AccessService",
      "passbus.v1.DeliveryService",
      "passbus.v1.EventService",
      "passbus.v1.InspectorService",
      "passbus.v1.SubscriptionService",
    ]);
  });

  it.each<[Ask]>([
    [{ case: "fileContainingSymbol", value: "passbus.v1.EventService" }],
    [{ case: "fileContainingSymbol", value: "passbus.v1.EventService.PublishEvents" }],
    [{ case: "fileContainingSymbol", value: "passbus.v1.PublishEventsRequest" }],
    [{ case: "fileByFilename", value: "passbus/v1/event_service.proto" }],
  ])("answers %j with a file and all its imports, from which calls can be made", async (question) => {
    const [answer] = await ask(question);
    if (answer?.case !== "fileDescriptorResponse") throw new Error(`answered ${answer?.case}`);
    const file = answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    expect(file[0]?.name).toBe("passbus/v1/event_service.proto");
    // Throws where an import is missing or comes too late; it wants imports first.
    const set = create(FileDescriptorSetSchema, { file: file.toReversed() });
    const registry = createFileRegistry(set);
    const methods = registry.getService("passbus.v1.EventService")?.methods.map(({ name }) => name);
    expect(methods).toEqual(EventService.methods.map(({ name }) => name));
  });

  it("knows what error details are made of, and Google's own types", async () => {
    const symbols = ["google.rpc.BadRequest.FieldViolation", "google.protobuf.Timestamp", "io.PassProtocol"];
    const answers = await ask(...symbols.map((value): Ask => ({ case: "fileContainingSymbol", value })));
    expect(answers.map((answer) => answer.case)).toEqual(symbols.map(() => "fileDescriptorResponse"));
  });

  it("answers each question in turn, also those that it can't", async () => {
    const answers = await ask(
      { case: "fileByFilename", value: "none.proto" },
      { case: "fileContainingSymbol", value: "passbus.v1.Nothing" },
      {
        case: "fileContainingExtension",
        value: {
          $typeName: "grpc.reflection.v1.ExtensionRequest",
          containingType: "passbus.v1.PassEvent",
          extensionNumber: 1,
        },
      },
      { case: "allExtensionNumbersOfType", value: "passbus.v1.PassEvent" },
      { case: "allExtensionNumbersOfType", value: "passbus.v1.Nothing" },
      { case: undefined },
    );
    expect(answers.map((answer) => (answer.case === "errorResponse" ? answer.value.errorCode : answer.case))).toEqual([
      Code.NotFound,
      Code.NotFound,
      Code.NotFound,
      "allExtensionNumbersResponse",
      Code.NotFound,
      Code.InvalidArgument,
    ]);
  });
});
