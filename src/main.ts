#!/usr/bin/env node
/** argv → a command. */
import { runCli } from "./cli/cli.ts";
import { demoCommand } from "./cli/demo.ts";
import { keysCommand } from "./cli/keys.ts";
import { publishCommand } from "./cli/publish.ts";
import { serveCommand } from "./cli/serve.ts";
import { openAdminStore, startPassbus } from "./compose.ts";

process.exitCode = await runCli(process.argv.slice(2), [
  serveCommand((config, showKey) => startPassbus(config, showKey && { showKey })),
  demoCommand((config) => startPassbus(config)),
  publishCommand(),
  keysCommand(openAdminStore),
]);
