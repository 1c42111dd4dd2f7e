/**
 * What passbus is compared with, in a process of its own: undici's `Pool.request` in a loop, as one writes it without
 * tuning, with what no sender of webhooks can leave out: the headers, an HMAC over each body, a time limit (undici's own),
 * and the answer read as text, since passbus keeps it.
 */
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { Pool } from "undici";
import { serveBench, sharedNowMs } from "./process-call.ts";

export interface BareRun {
  readonly origin: string;
  readonly count: number;
  /** Connections, and requests in flight. */
  readonly concurrency: number;
  /** Begins each `webhook-id` of this run. */
  readonly idPrefix: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface BareResult {
  readonly startMs: number;
  readonly cpuMs: number;
}

export interface BareCalls {
  run(run: BareRun): Promise<BareResult>;
}

const key: KeyObject = createSecretKey(Buffer.alloc(32, 7));
let pool: Pool | undefined;

async function send(pool: Pool, run: BareRun, number: number): Promise<void> {
  const { method, body } = run;
  const id = `${run.idPrefix}${number}`;
  const seconds = Math.floor(Date.now() / 1_000);
  const signature = createHmac("sha256", key).update(`${id}.${seconds}.`).update(body).digest("base64");
  const headers = {
    ...run.headers,
    "webhook-id": id,
    "webhook-timestamp": String(seconds),
    "webhook-signature": `v1,${signature}`,
  };
  const answer = await pool.request({ method, path: "/bare", headers, body });
  await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`the sink answered ${answer.statusCode}`);
}

serveBench<BareCalls>(
  {
    async run(run) {
      pool ??= new Pool(run.origin, { connections: run.concurrency });
      const sender = pool;
      // What came over the channel is no Buffer any more.
      const body = Buffer.from(run.body);
      const ready = { ...run, body };
      let next = 0;
      const lane = async () => {
        while (next < run.count) await send(sender, ready, next++);
      };
      const cpu = process.cpuUsage();
      const startMs = sharedNowMs();
      await Promise.all(Array.from({ length: run.concurrency }, lane));
      const used = process.cpuUsage(cpu);
      return { startMs, cpuMs: (used.user + used.system) / 1_000 };
    },
  },
  () => pool?.close(),
);
