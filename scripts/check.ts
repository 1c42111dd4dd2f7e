/** `npm run check`: the static checks alone. */
import { runChecks } from "./checks.ts";

const results = await runChecks((line) => console.log(line));
const failed = results.filter((result) => !result.ok).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
