/** A process for the lock's test: takes a data directory, says so, and keeps it until it is killed. */
import { lockDataDirectory } from "../../src/adapters/sqlite/lock.ts";

const [directory = ""] = process.argv.slice(2);
lockDataDirectory(directory);
process.stdout.write("locked\n");
process.stdin.resume();
