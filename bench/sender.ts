/**
 * How much of undici's speed the HTTP sender passes on: our sender, bare `Pool.request` (with the body read, as any
 * caller must) and bare `Pool.dispatch` send the same 1.2 KB over 64 connections to a sink in another process, in turns.
 *
 *   npm exec -- node bench/sender.ts [rounds] [requests a round]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { type Dispatcher, Pool } from "undici";
import { httpSender } from "../src/adapters/http/sender.ts";
import { networkSet } from "../src/kernel/addresses.ts";
import { systemClock } from "../src/kernel/clock.ts";

const CONCURRENCY = 64;
const headers = {
  "content-type": "application/json",
  "user-agent": "passbus/bench",
  "webhook-id": "dlv_0123456789012345678901",
  "webhook-timestamp": "1700000000",
  "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
};
const body = Buffer.alloc(1_200, "x");

/** Runs `send` `total` times, 64 at a time; CPU µs of this process and requests a second. */
async function rate(total: number, send: () => Promise<unknown>): Promise<[number, number]> {
  let left = total;
  const lane = async () => {
    while (left-- > 0) await send();
  };
  const cpu = process.cpuUsage();
  const start = performance.now();
  await Promise.all(Array.from({ length: CONCURRENCY }, lane));
  const seconds = (performance.now() - start) / 1_000;
  const used = process.cpuUsage(cpu);
  return [total / seconds, (used.user + used.system) / total];
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}

function bareDispatch(pool: Pool): Promise<number> {
  return new Promise((resolve, reject) => {
    let status = 0;
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart() {},
      onResponseStart: (_controller, code) => {
        status = code;
      },
      onResponseData() {},
      onResponseEnd: () => resolve(status),
      onResponseError: (_controller, error) => reject(error),
    };
    pool.dispatch({ method: "POST", path: "/hook", headers, body }, handler);
  });
}

async function sink(): Promise<void> {
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.writeHead(200, { "content-type": "text/plain" }).end("ok"));
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  process.send?.(typeof address === "object" ? address?.port : undefined);
  process.on("disconnect", () => process.exit());
}

async function main(rounds: number, total: number): Promise<void> {
  const child = fork(import.meta.filename, ["sink"]);
  const [port] = await once(child, "message");
  const origin = `http://127.0.0.1:${port}`;
  const pool = new Pool(origin, { connections: CONCURRENCY, headersTimeout: 0, bodyTimeout: 0 });
  const sender = httpSender({
    clock: systemClock,
    allowHttp: true,
    allowedNetworks: networkSet(["127.0.0.0/8"]),
  });
  const ours = { method: "POST", url: `${origin}/hook`, headers, body, timeoutMs: 15_000 };
  const ways: Record<string, () => Promise<unknown>> = {
    "Pool.request": async () => {
      const answer = await pool.request({ method: "POST", path: "/hook", headers, body });
      await answer.body.dump();
    },
    "Pool.dispatch": () => bareDispatch(pool),
    "httpSender.send": () => sender.send(ours),
  };
  const rates = new Map<string, [perSecond: number, cpu: number][]>();
  for (let round = 0; round <= rounds; round += 1) {
    for (const [name, send] of Object.entries(ways)) {
      const measured = await rate(total, send);
      // The first round warms up.
      if (round > 0) rates.set(name, [...(rates.get(name) ?? []), measured]);
    }
  }
  const bare = rates.get("Pool.request") ?? [];
  for (const [name, measured] of rates) {
    const ratios = measured.map(([perSecond], round) => perSecond / (bare[round]?.[0] ?? 0));
    const cpu = median(measured.map(([, used]) => used)).toFixed(1);
    const perSecond = median(measured.map(([each]) => each)).toFixed(0);
    console.log(`${name}: ${median(ratios).toFixed(2)} of Pool.request, ${perSecond}/s, ${cpu} µs CPU each`);
  }
  await sender.close();
  await pool.close();
  child.disconnect();
}

const [first = "5", second = "30000"] = process.argv.slice(2);
if (first === "sink") await sink();
else await main(Number(first), Number(second));
