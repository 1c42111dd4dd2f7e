/** A process for the lock's test: takes a data directory, says so, and keeps it until it is killed. */
import { lockDataDirectory } from "../../src/adapters/sqlite/lock.ts";

const [directory = ""] = process.argv.slice(2);
lockDataDirectory(directory);
// The handle is dropped on purpose: the lock must outlive a garbage collection.
globalThis.gc?.();
process.stdout.write("locked\n");
process.stdin.resume();
