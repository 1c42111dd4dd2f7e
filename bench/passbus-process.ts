/** passbus itself, whole, in a process of its own: what `passbus serve` starts, and a way to ask what it used. */
import { type Passbus, startPassbus } from "../src/compose/compose.ts";
import type { WorkerState } from "../src/compose/worker.ts";
import { readConfig } from "../src/config/config.ts";
import { serveBench } from "./process-call.ts";
import { type ProcessUse, processUse } from "./process-use.ts";

export interface PassbusUse extends ProcessUse {
  readonly state: WorkerState;
}

export interface PassbusCalls {
  /** The environment variables of `passbus serve`, and no others. */
  start(environment: Readonly<Record<string, string>>): Promise<{ readonly url: string }>;
  use(): PassbusUse;
}

let passbus: Passbus | undefined;

serveBench<PassbusCalls>(
  {
    async start(environment) {
      passbus = await startPassbus(readConfig(environment));
      void passbus.failed.then((error) => {
        console.error(error);
        process.exit(1);
      });
      return { url: passbus.url };
    },
    use() {
      const state = passbus?.state();
      if (state === undefined) throw new Error("start comes first");
      return { ...processUse(), state };
    },
  },
  () => passbus?.stop(),
);
