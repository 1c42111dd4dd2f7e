/** Dead letters at the command line of a running passbus: seen, sent again, dead again, and at last an event. */
import { execFile, type PromiseWithChild } from "node:child_process";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { CHILD_ENV } from "../support/child-env.ts";
import { BOOTSTRAP_KEY, DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { eventually } from "../support/within.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

interface Letter {
  readonly id: string;
  readonly offset?: string;
  readonly value: string;
  readonly redrivenAt?: string;
}

/** The commands, as processes of their own. */
class CommandLine {
  readonly #dataDir: string;
  readonly #url: string;

  constructor(dataDir: string, url: string) {
    this.#dataDir = dataDir;
    this.#url = url;
  }

  /** A command that needs no server. */
  bare(args: readonly string[], input = "", key = BOOTSTRAP_KEY): PromiseWithChild<Output> {
    const running = promisify(execFile)(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], {
      env: { ...CHILD_ENV, PASSBUS_DATA_DIR: this.#dataDir, PASSBUS_KEY: key },
      timeout: 15_000,
    });
    running.child.stdin?.end(input);
    return running;
  }

  run(args: readonly string[], input = "", key = BOOTSTRAP_KEY): PromiseWithChild<Output> {
    return this.bare([...args, "--url", this.#url], input, key);
  }

  /** As soon as there are so many, newest first. */
  letters(count: number): Promise<readonly Letter[]> {
    return eventually(10_000, `${count} dead letters`, async () => {
      const { stdout } = await this.run(["dead-letters", "list", "--reason", "event.conflict", "--json"]);
      const letters = stdout.split("\n").filter((line) => line !== "");
      return letters.length === count ? letters.map((line) => JSON.parse(line) as Letter) : undefined;
    });
  }
}

const line = (passId: string) =>
  `${JSON.stringify({ id: "evt_1", type: "PASS_EVENT_TYPE_CREATED", pass: { id: passId } })}\n`;

it("a dead letter is listed, sent again, and becomes another one until what was wrong is mended", {
  timeout: 60_000,
}, async () => {
  using directory = new DataDirectory();
  await using passbus = await RunningPassbus.start(directory.path);
  const commands = new CommandLine(directory.path, passbus.url);
  await commands.run(["publish"], line("p1"));
  await commands.run(["publish"], line("p2"));
  const [first] = await commands.letters(1);
  if (first === undefined) throw new Error("there is no dead letter");
  const table = await commands.run(["dead-letters", "list"]);
  expect(table.stdout).toMatch(
    new RegExp(`^${first.id} .* event\\.conflict +pass\\.events/0/1 +p2 +- +an event of this id `, "m"),
  );

  const sent = await commands.run(["dead-letters", "redrive", first.id]);
  expect(sent).toEqual({ stdout: "", stderr: "sent 1 dead letter again\n" });
  const [again, old] = await commands.letters(2);
  expect(old).toEqual({ ...first, redrivenAt: expect.any(String) });
  expect(again).toMatchObject({ offset: "2", value: first.value });
  expect(again?.redrivenAt).toBeUndefined();

  const made = await commands.bare(["keys", "create", "--organisation", "globex", "--role", "admin"]);
  const theirs = made.stdout.trim();
  expect((await commands.run(["dead-letters", "list"], "", theirs)).stderr).toBe("no dead letters\n");
  await expect(commands.run(["dead-letters", "redrive", first.id], "", theirs)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`ids[0]: there is no dead letter "${first.id}"`),
  });

  const unread = commands.run(["dead-letters", "list"]);
  unread.child.stdout?.destroy();
  await expect(unread).rejects.toMatchObject({ code: 141, stderr: "" });

  forgetEvents(directory.path);
  const all = await commands.run(["dead-letters", "redrive", "--all"]);
  expect(all.stderr).toBe("sent 1 dead letter again\n");
  const stored = await eventually(10_000, "the event", () =>
    passbus.api.events.getEvent({ id: "evt_1" }).catch(() => undefined),
  );
  expect(stored.event?.event?.pass?.id).toBe("p2");
  const ended = await commands.letters(2);
  expect(ended.map(({ redrivenAt }) => redrivenAt !== undefined)).toEqual([true, true]);
});

/** What expiry does to the event that was first. */
function forgetEvents(dataDir: string): void {
  const database = new DatabaseSync(join(dataDir, "store.db"), { timeout: 5_000 });
  database.exec("DELETE FROM events");
  database.close();
}
