#!/usr/bin/env node
/** argv → a command. */
import { runCli } from "./cli/cli.ts";
import { allCommands } from "./cli/commands.ts";
import { makeFirstKey, openAdminStore, openSealedStore, preparationOf, startPassbus } from "./compose/compose.ts";
import { embeddedStore, encryptionKeyUse, keyFiles, resolveHost, storeClockAheadMs } from "./compose/examination.ts";

process.exitCode = await runCli(
  process.argv.slice(2),
  allCommands({
    serve: (config, showKey) => startPassbus(config, showKey && { showKey }),
    demo: (config) => startPassbus(config),
    init: { preparation: preparationOf, openStore: openAdminStore, makeFirstKey },
    openStore: openAdminStore,
    openSealedStore,
    doctor: {
      preparation: preparationOf,
      keyFiles,
      embeddedStore,
      encryptionKeyUse,
      storeClockAheadMs,
      resolveHost,
    },
  }),
);
