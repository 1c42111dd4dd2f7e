/** Node's inspector of another process, to do what nothing but its own code could. */
import { once } from "node:events";
import type { RunningPassbus } from "./passbus.ts";
import { eventually, within } from "./within.ts";

/** The setting with which a process's inspector takes a free port when SIGUSR1 opens it. */
export const INSPECTABLE = { NODE_OPTIONS: "--inspect-port=127.0.0.1:0" };

/** Blocks the event loop of the process's main thread; resolves when the block has begun. */
export async function blockEventLoop(passbus: RunningPassbus, forMs: number): Promise<void> {
  passbus.signal("SIGUSR1");
  const url = await eventually(
    10_000,
    "the inspector's address",
    () => /Debugger listening on (ws:\S+)/u.exec(passbus.output)?.[1],
  );
  const socket = new WebSocket(url);
  await within(10_000, "the inspector", once(socket, "open"));
  const answered = within(10_000, "the inspector's answer", once(socket, "message"));
  // The answer is sent before the block, which is the loop's next task.
  const block = `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${forMs})`;
  const params = { expression: `setTimeout(() => ${block}, 50); true` };
  socket.send(JSON.stringify({ id: 1, method: "Runtime.evaluate", params }));
  await answered;
  socket.close();
}
