/** npm's passkit-node-sdk as it comes, through what it exports. It is CommonJS without types. */
import { createRequire } from "node:module";
import { type ChannelCredentials, credentials, Metadata } from "@grpc/grpc-js";
import { type PassKitSdk, type ReadSink, SdkError, type Sink, type SinkList } from "./sdk.ts";

const require = createRequire(import.meta.url);

/** Its messages: setters and getters with only the first letter upper case. */
interface Message {
  readonly [method: string]: (...values: unknown[]) => unknown;
  toObject(): Record<string, unknown>;
}
type MakeMessage = new () => Message;
interface Failure {
  readonly code: number;
  readonly details: string;
}
interface Call extends NodeJS.EventEmitter {
  on(event: "data", listener: (message: Message) => void): this;
  on(event: "error", listener: (error: Failure) => void): this;
  on(event: "end", listener: () => void): this;
}
interface NodeClient {
  [method: string]: (
    request: Message,
    metadata: Metadata,
    done?: (error: Failure | null, answer: Message) => void,
  ) => Call;
}

function message(type: MakeMessage, fields: Readonly<Record<string, unknown>>): Message {
  const made = new type();
  for (const [setter, value] of Object.entries(fields)) if (value !== undefined) made[setter]?.(value);
  return made;
}

const { IntegrationsClient } = require("passkit-node-sdk/io/core/a_rpc_others_grpc_pb") as {
  readonly IntegrationsClient: new (address: string, credentials: ChannelCredentials) => NodeClient & { close(): void };
};
const integration = require("passkit-node-sdk/io/common/integration_pb") as Readonly<Record<string, MakeMessage>>;
const common = require("passkit-node-sdk/io/common/common_objects_pb") as Readonly<Record<string, MakeMessage>>;
const filter = require("passkit-node-sdk/io/common/filter_pb") as Readonly<Record<string, MakeMessage>>;
const pagination = require("passkit-node-sdk/io/common/pagination_pb") as Readonly<Record<string, MakeMessage>>;

function type(file: Readonly<Record<string, MakeMessage>>, name: string): MakeMessage {
  const found = file[name];
  if (found === undefined) throw new Error(`passkit-node-sdk has no ${name}`);
  return found;
}

function sinkMessage(sink: Sink): Message {
  const ids = (name: string, list: readonly number[] | undefined) =>
    list === undefined ? undefined : message(type(integration, name), { setIdsList: list });
  return message(type(integration, "SinkSubscription"), {
    setId: sink.id,
    setClassid: sink.classId,
    setProtocol: sink.protocol,
    setPasseventidList: sink.passEventId,
    setStatus: sink.status,
    setConfigtype: sink.configType,
    setConfiguration: sink.configuration,
    setMembershipevents: ids("MembershipEventIds", sink.membershipEvents),
    setCouponevents: ids("CouponEventIds", sink.couponEvents),
  });
}

function readSink(answer: Message): ReadSink {
  const read = answer.toObject() as {
    readonly id: string;
    readonly classid: string;
    readonly protocol: number;
    readonly passeventidList: readonly number[];
    readonly status: number;
    readonly configtype: number;
    readonly configuration: string;
    readonly createdat?: object;
    readonly updatedat?: object;
    readonly membershipevents?: { readonly idsList: readonly number[] };
    readonly couponevents?: { readonly idsList: readonly number[] };
  };
  return {
    id: read.id,
    classId: read.classid,
    protocol: read.protocol,
    passEventId: read.passeventidList,
    status: read.status,
    configType: read.configtype,
    configuration: read.configuration,
    membershipEvents: read.membershipevents?.idsList ?? [],
    couponEvents: read.couponevents?.idsList ?? [],
    hasTimes: read.createdat !== undefined && read.updatedat !== undefined,
  };
}

function listMessage({ classId, protocol, limit, offset, filters }: SinkList): Message {
  const fieldFilters = filters?.map(({ field, value }) =>
    message(type(filter, "FieldFilter"), { setFilterfield: field, setFiltervalue: value, setFilteroperator: "eq" }),
  );
  const groups = fieldFilters && [message(type(filter, "FilterGroup"), { setFieldfiltersList: fieldFilters })];
  const all = { setLimit: limit, setOffset: offset, setFiltergroupsList: groups };
  const setFilters = message(type(filter, "Filters"), all);
  return message(type(common, "ListRequest"), { setClassid: classId, setProtocol: protocol, setFilters });
}

function deprecatedListMessage({ classId, protocol, limit, offset, filters = [] }: SinkList): Message {
  const setPagination = message(type(pagination, "Pagination"), {
    setLimit: limit,
    setOffset: offset,
    setFilterfieldList: filters.map(({ field }) => field),
    setFiltervalueList: filters.map(({ value }) => value),
    setFilteroperatorList: filters.map(() => "eq"),
  });
  return message(type(common, "ListRequestDeprecated"), { setClassid: classId, setProtocol: protocol, setPagination });
}

/** `address` is host:port. The key goes with each call, unless the channel's credentials carry it. */
export function nodeSdk(address: string, key?: string, channel = credentials.createInsecure()): PassKitSdk {
  const client = new IntegrationsClient(address, channel);
  const metadata = new Metadata();
  if (key !== undefined) metadata.set("authorization", `Bearer ${key}`);
  const unary = (method: string, request: Message) =>
    new Promise<Message>((resolve, reject) => {
      client[method]?.(request, metadata, (error, answer) =>
        error === null ? resolve(answer) : reject(new SdkError(error.code, error.details)),
      );
    });
  const stream = (method: string, request: Message) =>
    new Promise<readonly ReadSink[]>((resolve, reject) => {
      const found: ReadSink[] = [];
      client[method]?.(request, metadata)
        .on("data", (answer) => found.push(readSink(answer)))
        .on("error", ({ code, details }) => reject(new SdkError(code, details)))
        .on("end", () => resolve(found));
    });
  const idOf = async (answer: Promise<Message>) => String((await answer).toObject().id);
  const named = (protocol: number, subscriptionId: string) =>
    message(type(integration, "SubscriptionRequest"), { setProtocol: protocol, setSubscriptionid: subscriptionId });
  return {
    create: (sink) => idOf(unary("createSinkSubscription", sinkMessage(sink))),
    get: async (protocol, id) => readSink(await unary("getSinkSubscription", named(protocol, id))),
    list: (list) => stream("listSinkSubscriptions", listMessage(list)),
    listDeprecated: (list) => stream("listSinkSubscriptionsDeprecated", deprecatedListMessage(list)),
    update: (sink) => idOf(unary("updateSinkSubscription", sinkMessage(sink))),
    remove: async (protocol, id) => void (await unary("deleteSinkSubscription", named(protocol, id))),
    sample: async (id) =>
      readSink(await unary("getSampleSubscriptionEvent", message(type(common, "Id"), { setId: id }))),
    async getIntegrations(protocol, classId) {
      const request = message(type(integration, "ProtocolIdInput"), { setProtocol: protocol, setClassid: classId });
      await unary("getIntegrations", request);
    },
    async [Symbol.asyncDispose]() {
      client.close();
    },
  };
}
