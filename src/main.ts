#!/usr/bin/env node
/** argv → a command. */
import { auditCommand } from "./cli/audit.ts";
import { runCli } from "./cli/cli.ts";
import { deadLettersCommand } from "./cli/dead-letters.ts";
import { deliveriesCommand } from "./cli/deliveries.ts";
import { demoCommand } from "./cli/demo.ts";
import { initCommand } from "./cli/init.ts";
import { keysCommand } from "./cli/keys.ts";
import { limitsCommand } from "./cli/limits.ts";
import { portalCommand } from "./cli/portal.ts";
import { publishCommand } from "./cli/publish.ts";
import { replayCommand } from "./cli/replay.ts";
import { serveCommand } from "./cli/serve.ts";
import { subscriptionsCommand } from "./cli/subscriptions.ts";
import { explainCommand, tailCommand } from "./cli/tail.ts";
import { makeFirstKey, openAdminStore, preparationOf, startPassbus } from "./compose/compose.ts";

process.exitCode = await runCli(process.argv.slice(2), [
  serveCommand((config, showKey) => startPassbus(config, showKey && { showKey })),
  demoCommand((config) => startPassbus(config)),
  initCommand({ preparation: preparationOf, openStore: openAdminStore, makeFirstKey }),
  publishCommand(),
  tailCommand(),
  subscriptionsCommand(),
  deliveriesCommand(),
  limitsCommand(),
  replayCommand(),
  explainCommand(),
  deadLettersCommand(),
  keysCommand(openAdminStore),
  portalCommand(),
  auditCommand(),
]);
