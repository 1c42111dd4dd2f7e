import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import type { EchoCalls, EchoData } from "../../test/support/echo-thread.ts";
import { CodedError, invalidField } from "./errors.ts";
import {
  type CallHandlers,
  type CallThread,
  callClient,
  cutBytes,
  packBytes,
  serveCalls,
  startThread,
  Transferring,
} from "./thread-call.ts";

const lost = () => new CodedError("store.unavailable", "nobody is there");

interface SumCalls {
  sum(numbers: readonly number[]): number;
  later(text: string): string;
  bytes(count: number): Uint8Array;
  fail(how: "coded" | "plain" | "async"): string;
  uncloneable(none: null): unknown;
}

const handed: Uint8Array[] = [];

const handlers: CallHandlers<SumCalls> = {
  sum: (numbers) => numbers.reduce((total, number) => total + number, 0),
  later: async (text) => {
    await new Promise((resolve) => setImmediate(resolve));
    return text;
  },
  bytes(count) {
    const bytes = new Uint8Array(count).fill(7);
    handed.push(bytes);
    return new Transferring(bytes, [bytes.buffer]);
  },
  fail(how) {
    if (how === "coded") throw invalidField("pass.id", "must be set");
    if (how === "plain") throw new TypeError("no such thing");
    return Promise.reject(new CodedError("version.changed", "too late"));
  },
  uncloneable: () => () => {},
};

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

function connected() {
  const { port1, port2 } = new MessageChannel();
  const closeServer = serveCalls(port1, handlers);
  const client = callClient<SumCalls>(port2, lost);
  cleanUps.push(closeServer, () => client.close());
  return { client, closeServer, port: port2 };
}

describe("calls over a port", () => {
  test("each call gets its own answer, whichever comes first", async () => {
    const { client } = connected();
    const order: string[] = [];
    const late = client.call("later", "late").then((text) => order.push(text));
    const sum = client.call("sum", [1, 2, 3]).then((total) => order.push(String(total)));
    await Promise.all([late, sum]);
    expect(order).toEqual(["6", "late"]);
  });

  test("a coded error keeps its code, message and violations", async () => {
    const { client } = connected();
    await expect(client.call("fail", "coded")).rejects.toMatchObject({
      name: "CodedError",
      code: "request.invalid",
      message: "pass.id: must be set",
      violations: [{ field: "pass.id", description: "must be set" }],
    });
    await expect(client.call("fail", "async")).rejects.toMatchObject({ code: "version.changed" });
  });

  test("any other error keeps its message", async () => {
    const { client } = connected();
    await expect(client.call("fail", "plain")).rejects.toThrow("no such thing");
  });

  test("an answer that cannot be cloned rejects the call", async () => {
    const { client } = connected();
    await expect(client.call("uncloneable", null)).rejects.toThrow(/could not be cloned/);
  });

  test("a method that the server lacks rejects the call", async () => {
    const { port1, port2 } = new MessageChannel();
    cleanUps.push(serveCalls<Pick<SumCalls, "sum">>(port1, { sum: handlers.sum }));
    const client = callClient<SumCalls>(port2, lost);
    await expect(client.call("later", "x")).rejects.toThrow("no such call: later");
  });

  test("buffers are handed over, not copied", async () => {
    const { client } = connected();
    const bytes = await client.call("bytes", 5);
    expect([...bytes]).toEqual([7, 7, 7, 7, 7]);
    expect(handed.at(-1)?.byteLength).toBe(0);
  });

  test("a port keeps the process alive only while a call is under way", async () => {
    const { client, port } = connected();
    expect(port.hasRef()).toBe(false);
    const call = client.call("later", "x");
    expect(port.hasRef()).toBe(true);
    await call;
    expect(port.hasRef()).toBe(false);
  });

  test("calls reject when the other side closes, those under way and those that come", async () => {
    const { client, closeServer } = connected();
    const underWay = client.call("later", "x");
    closeServer();
    await expect(underWay).rejects.toThrow("nobody is there");
    await expect(client.call("sum", [1])).rejects.toMatchObject({ code: "store.unavailable" });
  });

  test("calls reject when the client itself closes", async () => {
    const { client } = connected();
    const underWay = client.call("later", "x");
    client.close();
    await expect(underWay).rejects.toThrow("nobody is there");
  });
});

describe("a thread that serves calls", () => {
  const script = new URL("../../test/support/echo-thread.ts", import.meta.url);

  async function started(data: EchoData = {}): Promise<CallThread> {
    const thread = await startThread(script, "echo", data);
    cleanUps.push(() => thread.stop());
    return thread;
  }

  test("any number of connections are served", async () => {
    const thread = await started();
    const clients = [1, 2, 3].map(() => callClient<EchoCalls>(thread.connect(), lost));
    const answers = await Promise.all(clients.map((client, index) => client.call("echo", `${index}`)));
    expect(answers).toEqual(["0!", "1!", "2!"]);
  });

  test("a thread that refuses to start rejects with its reason", async () => {
    const start = startThread(script, "echo", { refuse: true } satisfies EchoData);
    await expect(start).rejects.toMatchObject({ code: "data_dir.newer", message: "too new" });
  });

  test("calls under way reject when the thread dies, and its failure says so", async () => {
    const thread = await started();
    const client = callClient<EchoCalls>(thread.connect(), lost);
    const underWay = client.call("hang", null);
    const death = client.call("die", null);
    await expect(underWay).rejects.toThrow("nobody is there");
    await expect(death).rejects.toThrow("nobody is there");
    expect((await thread.failure).message).toBe("the echo thread ended with code 3");
  });

  test("stop waits for the service to be closed, and is no failure", async () => {
    const directory = mkdtempSync(join(tmpdir(), "passbus-"));
    cleanUps.push(() => rmSync(directory, { recursive: true }));
    const closedFile = join(directory, "closed");
    const thread = await started({ closedFile });
    const client = callClient<EchoCalls>(thread.connect(), lost);
    const underWay = client.call("hang", null).catch((error: Error) => error.message);
    let failed = false;
    void thread.failure.then(() => {
      failed = true;
    });
    await thread.stop();
    expect(existsSync(closedFile)).toBe(true);
    expect(await underWay).toBe("nobody is there");
    expect(failed).toBe(false);
  });
});

test("byte strings come out of their common buffer as they went in", () => {
  const parts = [Uint8Array.of(1, 2), new Uint8Array(), Buffer.from("xyz").subarray(1)];
  const all = packBytes(parts);
  expect(all.buffer.byteLength).toBe(4);
  expect(cutBytes(all, [2, 0, 2]).map((part) => [...part])).toEqual([[1, 2], [], [121, 122]]);
});
