/**
 * Typed calls between threads, over a MessagePort: one message asks, one answers. Meant for a thread that does what
 * blocks (node:sqlite is synchronous), so callers send batches, not rows.
 *
 *   in the thread:  serveThread<StoreCalls>((data) => ({ handlers, close }))
 *   where it runs:  const thread = await startThread(new URL("./thread.ts", import.meta.url), "store", data, lost)
 *   any thread:     const client = callClient<StoreCalls>(thread.connect(), lost); await client.call("flush", batch)
 */
import {
  MessageChannel,
  type MessagePort,
  parentPort,
  type Transferable,
  Worker,
  workerData,
} from "node:worker_threads";
import { CodedError, ERRORS, type ErrorCode, type FieldViolation } from "./errors.ts";

/** The methods of one port: each takes one structured-cloneable argument. */
export type CallTable<C> = { readonly [M in keyof C]: (argument: never) => unknown };

/** An answer whose buffers are handed over instead of copied. The server must not touch them again. */
export class Transferring<T> {
  readonly value: T;
  readonly buffers: readonly Transferable[];

  constructor(value: T, buffers: readonly Transferable[]) {
    this.value = value;
    this.buffers = buffers;
  }
}

type Answer<T> = T | Transferring<T>;
type Argument<F> = F extends (argument: infer A) => unknown ? A : never;
type Result<F> = F extends (argument: never) => infer R ? R : never;

/** What a server implements for the table `C`: the same methods, at once or later. */
export type CallHandlers<C extends CallTable<C>> = {
  readonly [M in keyof C]: (argument: Argument<C[M]>) => Answer<Result<C[M]>> | Promise<Answer<Result<C[M]>>>;
};

export interface CallClient<C extends CallTable<C>> {
  /** Rejects with the server's error, or with the client's `lost` error once the other side is gone. */
  call<M extends keyof C & string>(
    method: M,
    argument: Argument<C[M]>,
    transfer?: readonly Transferable[],
  ): Promise<Result<C[M]>>;
  /** Ends the connection; calls under way reject. */
  close(): void;
}

/**
 * Puts byte strings one after the other into a buffer of their own, to be handed over. A typed array in a message takes
 * all of the buffer along that it looks into, so those of a batch are not sent one by one.
 */
export function packBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((total, part) => total + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.byteLength;
  }
  return all;
}

/** The byte strings that were packed, by their lengths. They look into `all`, and so keep all of it in memory. */
export function cutBytes(all: Uint8Array, lengths: readonly number[]): readonly Uint8Array[] {
  let offset = 0;
  return lengths.map((length) => {
    offset += length;
    return all.subarray(offset - length, offset);
  });
}

interface ErrorShape {
  readonly message: string;
  readonly code?: ErrorCode;
  readonly violations?: readonly FieldViolation[];
}

type AskMessage = readonly [id: number, method: string, argument: unknown];
type AnswerMessage =
  | readonly [id: number, ok: true, value: unknown]
  | readonly [id: number, ok: false, error: ErrorShape];

/** Errors lose their class in a structured clone, so they travel by code. */
function shapeOf(error: unknown): ErrorShape {
  if (error instanceof CodedError) {
    return { message: error.message, code: error.code, violations: error.violations };
  }
  return { message: error instanceof Error ? error.message : String(error) };
}

function errorOf(shape: ErrorShape): Error {
  if (shape.code === undefined || !Object.hasOwn(ERRORS, shape.code)) return new Error(shape.message);
  return new CodedError(shape.code, shape.message, { violations: shape.violations ?? [] });
}

/** Answers the calls that arrive on `port` until it closes. The returned function closes it. */
export function serveCalls<C extends CallTable<C>>(port: MessagePort, handlers: CallHandlers<C>): () => void {
  const methods = new Map<string, (argument: never) => unknown>(Object.entries(handlers));
  const fail = (id: number, error: unknown) => {
    port.postMessage([id, false, shapeOf(error)] satisfies AnswerMessage);
  };
  const answer = (id: number, result: unknown) => {
    const [value, buffers] = result instanceof Transferring ? [result.value, result.buffers] : [result, []];
    try {
      port.postMessage([id, true, value] satisfies AnswerMessage, buffers);
    } catch (error) {
      fail(id, error); // The value cannot be cloned: the caller must hear of it, or it waits for ever.
    }
  };
  port.on("message", ([id, name, argument]: AskMessage) => {
    const method = methods.get(name);
    if (method === undefined) return fail(id, new CodedError("internal", `no such call: ${name}`));
    try {
      const result = method(argument as never);
      if (result instanceof Promise) {
        result.then(
          (value: unknown) => answer(id, value),
          (error: unknown) => fail(id, error),
        );
      } else answer(id, result);
    } catch (error) {
      fail(id, error);
    }
  });
  return () => port.close();
}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** Makes the error that calls reject with when nobody is left to answer them. */
export type LostError = () => Error;

/** Calls over `port`. It keeps the process alive only while a call is under way. */
export function callClient<C extends CallTable<C>>(port: MessagePort, lost: LostError): CallClient<C> {
  const pending = new Map<number, Pending>();
  let nextId = 1;
  let open = true;
  const end = () => {
    open = false;
    const waiting = [...pending.values()];
    pending.clear();
    for (const { reject } of waiting) reject(lost());
  };
  port.on("message", (message: AnswerMessage) => {
    const waiting = pending.get(message[0]);
    if (waiting === undefined) return;
    pending.delete(message[0]);
    if (pending.size === 0) port.unref();
    if (message[1]) waiting.resolve(message[2] as never);
    else waiting.reject(errorOf(message[2]));
  });
  port.on("messageerror", () => port.close()); // An answer that cannot be read would leave its caller waiting.
  port.on("close", end);
  port.unref();
  return {
    call(method, argument, transfer = []) {
      if (!open) return Promise.reject(lost());
      return new Promise((resolve, reject) => {
        const id = nextId++;
        port.postMessage([id, method, argument] satisfies AskMessage, transfer);
        if (pending.size === 0) port.ref();
        pending.set(id, { resolve, reject });
      });
    },
    close() {
      end();
      port.close();
    },
  };
}

/** A running thread that serves calls. */
export interface CallThread {
  /** A new connection, to be used here or sent to another thread; it is given to `callClient`. */
  connect(): MessagePort;
  /** Lets the thread finish what it has begun, then ends it. Rejects if that failed. */
  stop(): Promise<void>;
  /** Resolves if the thread dies without having been stopped. */
  readonly failure: Promise<Error>;
}

type ThreadOrder = { readonly kind: "connect"; readonly port: MessagePort } | { readonly kind: "stop" };
type ThreadReport = { readonly kind: "ready" } | { readonly kind: "refused"; readonly error: ErrorShape };

const YOUNG_GENERATION_MIB = 24;

/** Starts `script`, a module that calls `serveThread`, and resolves when it serves; rejects with its reason if it can't. */
export async function startThread(script: URL, name: string, data: unknown): Promise<CallThread> {
  const worker = new Worker(script, {
    name,
    workerData: data,
    // node:sqlite still warns that it is experimental; who starts passbus should not read that. A test runner's own
    // flags must not come along either.
    execArgv: ["--disable-warning=ExperimentalWarning"],
    // V8 would let each thread's young generation grow to 100 MiB before it collects.
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
  });
  let stopping = false;
  const exited = Promise.withResolvers<void>();
  const failure = Promise.withResolvers<Error>();
  const ready = Promise.withResolvers<void>();
  worker.on("message", (report: ThreadReport) => {
    if (report.kind === "ready") ready.resolve();
    else ready.reject(errorOf(report.error));
  });
  let stopError: Error | undefined;
  const die = (error: Error) => {
    ready.reject(error);
    if (!stopping) failure.resolve(error);
  };
  worker.on("error", (thrown) => {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    if (stopping) stopError = error;
    die(error);
  });
  worker.on("exit", (code) => {
    die(new Error(`the ${name} thread ended with code ${code}`));
    exited.resolve();
  });
  await ready.promise;
  return {
    connect() {
      const { port1, port2 } = new MessageChannel();
      worker.postMessage({ kind: "connect", port: port1 } satisfies ThreadOrder, [port1]);
      return port2;
    },
    async stop() {
      stopping = true;
      worker.postMessage({ kind: "stop" } satisfies ThreadOrder);
      await exited.promise;
      if (stopError !== undefined) throw stopError;
    },
    failure: failure.promise,
  };
}

export interface ThreadService<C extends CallTable<C>> {
  readonly handlers: CallHandlers<C>;
  /** Finishes what was begun. Calls that arrive later are not answered. */
  close(): void | Promise<void>;
}

/** The body of a thread's module: `open` makes the service from what `startThread` was given, or throws why it can't. */
export function serveThread<C extends CallTable<C>>(open: (data: unknown) => ThreadService<C>): void {
  const parent = parentPort;
  if (parent === null) throw new CodedError("internal", "serveThread outside a worker thread");
  const report = (message: ThreadReport) => parent.postMessage(message);
  const ports = new Set<MessagePort>();
  let service: ThreadService<C>;
  try {
    service = open(workerData);
  } catch (error) {
    report({ kind: "refused", error: shapeOf(error) });
    return;
  }
  const stop = async () => {
    await service.close();
    for (const port of ports) port.close();
    parent.close();
  };
  parent.on("message", (order: ThreadOrder) => {
    if (order.kind === "stop") return void stop();
    ports.add(order.port);
    order.port.on("close", () => ports.delete(order.port));
    serveCalls(order.port, service.handlers);
  });
  report({ kind: "ready" });
}
