/** The order of the files within each group: those that take longest come first, else the end waits for one of them. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { BaseSequencer, type TestSpecification, type Vitest } from "vitest/node";

const root = join(import.meta.dirname, "..", "..");

/** Beyond 10 s in a whole run, or 30 s of those that start processes. Vitest goes by the files' sizes, which say little. */
const LONGEST = [
  "test/contracts/mongodb-store.test.ts",
  "test/contracts/sqlite-store.test.ts",
  "test/faults/distributed-rows.test.ts",
  "test/faults/kafka-leader.test.ts",
  "test/browser/subscriptions.test.ts",
  "test/browser/deliveries.test.ts",
  "test/browser/dialogs.test.ts",
  "test/faults/clock.test.ts",
  "test/e2e/distributed-order.test.ts",
  "test/e2e/distributed-poison.test.ts",
  "test/e2e/replay.test.ts",
  "test/e2e/erasure.test.ts",
  "test/browser/roles.test.ts",
  "test/canary.test.ts",
  "src/adapters/kafka/log-reader.test.ts",
  "test/contracts/kafka-log.test.ts",
  "test/contracts/mongodb-changes.test.ts",
  "test/support/services/servers.test.ts",
];

export class LongestFirst extends BaseSequencer {
  readonly #ranks = new Map(LONGEST.map((file, rank) => [join(root, file), rank]));

  constructor(vitest: Vitest) {
    super(vitest);
    const gone = LONGEST.filter((file) => !existsSync(join(root, file)));
    if (gone.length > 0) throw new Error(`test/support/longest-first.ts names what is not there: ${gone.join(", ")}`);
  }

  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => this.#ranks.get(moduleId) ?? LONGEST.length;
    const group = ({ project }: TestSpecification) => project.config.sequence.groupOrder;
    const sorted = await super.sort(files);
    return sorted.toSorted((left, right) => group(left) - group(right) || rank(left) - rank(right));
  }
}
