/** Owns a process and a folder, says which, and hangs: for the test that kills it. Its argument is a log file. */
import { ownFolder, startOwned } from "./owned.ts";

const [logFile = ""] = process.argv.slice(2);
const folder = await ownFolder("passbus-owned-test-");
const { pid } = await startOwned(process.execPath, ["-e", "setInterval(() => {}, 1000)"], logFile);
console.log(JSON.stringify({ pid, folder }));
setInterval(() => {}, 60_000);
