/** What the distributed deployment needs: a broker and a store, those of the tests (test/support/services), made ready. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import { sharedKafka, sharedMongodb } from "../test/support/services/find.ts";

const ROOT = join(import.meta.dirname, "..");

export interface BenchServers {
  /** What runs, for the report. */
  readonly names: readonly string[];
  /** Settings of passbus: topics and a database of this run's own. */
  readonly settings: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Starts them, or takes those of PASSBUS_TEST_KAFKA_BROKERS and PASSBUS_TEST_MONGODB_URI, and runs `passbus init`. */
export async function startServers(): Promise<BenchServers> {
  const [kafka, mongodb] = await Promise.all([sharedKafka(), sharedMongodb()]);
  const stop = async () => {
    await Promise.all([kafka.stop(), mongodb.stop()]);
  };
  const name = `passbus-bench-${randomBytes(4).toString("hex")}`;
  const uri = new URL(mongodb.address);
  uri.pathname = `/${name}`;
  const settings = {
    PASSBUS_KAFKA_BROKERS: kafka.address,
    PASSBUS_KAFKA_TOPIC: `${name}.events`,
    PASSBUS_KAFKA_DEAD_TOPIC: `${name}.dead`,
    PASSBUS_KAFKA_GROUP: name,
    PASSBUS_MONGODB_URI: uri.href,
    PASSBUS_ENCRYPTION_KEYS: `k1:${randomBytes(32).toString("base64")}`,
  };
  try {
    const main = join(ROOT, "src", "main.ts");
    await promisify(execFile)(process.execPath, ["--disable-warning=ExperimentalWarning", main, "init"], {
      env: { PATH: process.env.PATH, PASSBUS_BOOTSTRAP_KEY: "not-used-by-the-bench", ...settings },
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { names: [`kafka: ${kafka.server}`, `mongodb: ${mongodb.server}`], settings, stop };
}
