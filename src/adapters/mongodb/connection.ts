/** A client of a MongoDB that passbus can rely on, or the reason why there is none. */
import { type Document, MongoClient, type MongoClientOptions } from "mongodb";
import { CodedError } from "../../kernel/errors.ts";
import { connectError, hostsOf, uriError } from "./errors.ts";

/** PEM texts. What is left out is as the URI has it. */
export interface MongoTls {
  /** The authorities that the servers' certificates are checked against. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

const DEFAULT_DATABASE = "passbus";

/** A server that can't be chosen within this time is unreachable. */
const SELECTION_TIMEOUT_MS = 5_000;

/**
 * After so long without a byte a connection is given up, and its command fails: a flush must fail at some time so that
 * the engine pauses. The driver 7.9 has no deadline for a whole operation (`timeoutMS` has no effect).
 */
const SOCKET_TIMEOUT_MS = 15_000;

function clientOptions(tls: MongoTls | undefined): MongoClientOptions {
  return {
    appName: "passbus",
    writeConcern: { w: "majority", journal: true },
    readConcern: { level: "majority" },
    readPreference: "primary",
    retryWrites: true,
    retryReads: true,
    serverSelectionTimeoutMS: SELECTION_TIMEOUT_MS,
    connectTimeoutMS: SELECTION_TIMEOUT_MS,
    socketTimeoutMS: SOCKET_TIMEOUT_MS,
    waitQueueTimeoutMS: SOCKET_TIMEOUT_MS,
    // We wrote every string ourselves; checking each that comes back costs more than parsing the rest.
    enableUtf8Validation: false,
    ignoreUndefined: true,
    promoteBuffers: true,
    ...(tls === undefined ? {} : { tls: true, ...tls }),
  };
}

/** A client that is connected to a replica set or a sharded cluster. Its errors never hold the URI's password. */
export async function connectedClient(
  uri: string,
  tls: MongoTls | undefined,
  options: MongoClientOptions = {},
): Promise<MongoClient> {
  const client = newClient(uri, { ...clientOptions(tls), ...options });
  try {
    await client.connect();
    judgeTopology(await client.db("admin").command({ hello: 1 }), hostsOf(uri));
    return client;
  } catch (error) {
    await client.close();
    throw connectError(error, uri, SELECTION_TIMEOUT_MS);
  }
}

function newClient(uri: string, options: MongoClientOptions): MongoClient {
  try {
    return new MongoClient(uri, options);
  } catch (error) {
    throw uriError(error, uri);
  }
}

/** The URI's path names the database. */
export function databaseIn(uri: string): string {
  const [, name = ""] = /^[^:]*:\/\/(?:.*@)?[^/?]*\/([^?]*)/s.exec(uri) ?? [];
  return name === "" ? DEFAULT_DATABASE : decodeURIComponent(name);
}

/** Refuses what has no transactions and no majority, by its answer to `hello`. */
export function judgeTopology(hello: Document, hosts: string): void {
  const isReplicaSet = typeof hello.setName === "string";
  const isSharded = hello.msg === "isdbgrid";
  if (isSharded || (isReplicaSet && hello.isWritablePrimary === true)) return;
  throw new CodedError("config.invalid", isReplicaSet ? notPrimary(hello, hosts) : standalone(hosts));
}

function standalone(hosts: string): string {
  return (
    `MongoDB at ${hosts} is a standalone server; passbus needs a replica set (one member will do) or a sharded ` +
    "cluster, for transactions and for writes that a majority has. Start mongod with --replSet rs0, run rs.initiate() " +
    "in mongosh once, and add replicaSet=rs0 to the URI (or directConnection=true where the member's own host name " +
    "can't be reached from here)"
  );
}

function notPrimary(hello: Document, hosts: string): string {
  return (
    `MongoDB at ${hosts} is a member of the replica set ${hello.setName} and not its primary: name the set in the ` +
    `URI (replicaSet=${hello.setName}, without directConnection), or run rs.initiate() where it never was`
  );
}
