/** A thread for src/kernel/thread-call.test.ts: answers, dies, or refuses to start. */
import { writeFileSync } from "node:fs";
import { CodedError } from "../../src/kernel/errors.ts";
import { serveThread } from "../../src/kernel/thread-call.ts";

export interface EchoCalls {
  echo(text: string): string;
  hang(none: null): string;
  die(none: null): string;
}

export interface EchoData {
  readonly refuse?: boolean;
  /** Written when the thread has been closed in an orderly way. */
  readonly closedFile?: string;
}

serveThread<EchoCalls>((given) => {
  const data = given as EchoData;
  if (data.refuse === true) throw new CodedError("data_dir.newer", "too new");
  return {
    handlers: {
      echo: (text) => `${text}!`,
      hang: () => new Promise<string>(() => {}),
      die: () => process.exit(3),
    },
    async close() {
      await Promise.resolve();
      if (data.closedFile !== undefined) writeFileSync(data.closedFile, "closed");
    },
  };
});
