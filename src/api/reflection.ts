/** grpc.reflection.v1 over the descriptors that the generated code carries: what `grpcurl` reads. */
import {
  type DescEnum,
  type DescFile,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type {
  ServerReflection,
  ServerReflectionRequest,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

/** Lists `services`; knows their files, `files` besides (error details are named nowhere else), and all imports. */
export function reflectionService(
  services: readonly DescService[],
  files: readonly DescFile[] = [],
): ServiceImpl<typeof ServerReflection> {
  const index = new FileIndex([...services.map((service) => service.file), ...files]);
  const names = services.map(({ typeName }) => ({ name: typeName })).sort((a, b) => (a.name < b.name ? -1 : 1));
  const answer = ({ messageRequest }: ServerReflectionRequest): Answer => {
    switch (messageRequest.case) {
      case "listServices":
        return { case: "listServicesResponse", value: { service: names } };
      case "fileByFilename":
        return fileAnswer(index.byName(messageRequest.value), `file ${messageRequest.value}`);
      case "fileContainingSymbol":
        return fileAnswer(index.bySymbol(messageRequest.value), `symbol ${messageRequest.value}`);
      case "allExtensionNumbersOfType":
        return index.bySymbol(messageRequest.value) === undefined
          ? failure(Code.NotFound, `type ${messageRequest.value} is not known`)
          : { case: "allExtensionNumbersResponse", value: { baseTypeName: messageRequest.value } };
      case "fileContainingExtension":
        return failure(Code.NotFound, `${messageRequest.value.containingType} has no extensions`);
      default:
        return failure(Code.InvalidArgument, "message_request: must be set");
    }
  };
  return {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, messageResponse: answer(request) };
      }
    },
  };
}

function failure(code: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode: code, errorMessage } };
}

function fileAnswer(files: readonly Uint8Array[] | undefined, what: string): Answer {
  if (files === undefined) return failure(Code.NotFound, `${what} is not known`);
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: [...files] } };
}

/** Files by their names, and by the names of what they define: services, methods, messages, enums. */
class FileIndex {
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  readonly #encoded = new Map<DescFile, Uint8Array>();

  constructor(roots: readonly DescFile[]) {
    for (const root of roots) {
      for (const file of withImports(root)) this.#add(file);
    }
  }

  byName(name: string): readonly Uint8Array[] | undefined {
    return this.#encodedWithImports(this.#files.get(name));
  }

  bySymbol(name: string): readonly Uint8Array[] | undefined {
    return this.#encodedWithImports(this.#symbols.get(name));
  }

  #add(file: DescFile): void {
    this.#files.set(file.proto.name, file);
    for (const service of file.services) {
      this.#symbols.set(service.typeName, file);
      for (const method of service.methods) this.#symbols.set(`${service.typeName}.${method.name}`, file);
    }
    this.#addTypes(file, file.messages, file.enums);
  }

  #addTypes(file: DescFile, messages: readonly DescMessage[], enums: readonly DescEnum[]): void {
    for (const type of [...messages, ...enums]) this.#symbols.set(type.typeName, file);
    for (const message of messages) this.#addTypes(file, message.nestedMessages, message.nestedEnums);
  }

  #encodedWithImports(file: DescFile | undefined): readonly Uint8Array[] | undefined {
    return file === undefined ? undefined : withImports(file).map((each) => this.#encode(each));
  }

  #encode(file: DescFile): Uint8Array {
    const known = this.#encoded.get(file);
    if (known !== undefined) return known;
    const bytes = toBinary(FileDescriptorProtoSchema, file.proto);
    this.#encoded.set(file, bytes);
    return bytes;
  }
}

/** The file, then all that it imports, each once and before its own imports. */
function withImports(file: DescFile): readonly DescFile[] {
  const seen = new Set<DescFile>();
  const importsFirst: DescFile[] = [];
  const visit = (each: DescFile) => {
    if (seen.has(each)) return;
    seen.add(each);
    for (const dependency of each.dependencies) visit(dependency);
    importsFirst.push(each);
  };
  visit(file);
  return importsFirst.toReversed();
}
