/** Every command, in the order in which the help lists them. main.ts hands in what they start and open. */
import { auditCommand } from "./audit.ts";
import { binsCommand } from "./bins.ts";
import { changesCommand } from "./changes.ts";
import type { AddCommand } from "./cli.ts";
import { completionCommand } from "./completion.ts";
import { configCommand } from "./config.ts";
import { deadLettersCommand } from "./dead-letters.ts";
import { deliveriesCommand } from "./deliveries.ts";
import { demoCommand } from "./demo.ts";
import { type DoctorDeps, doctorCommand } from "./doctor.ts";
import { organisationCommand, passesCommand } from "./erase.ts";
import { eventsCommand } from "./events.ts";
import { type InitDeps, initCommand } from "./init.ts";
import { keysCommand, type OpenAdminStore } from "./keys.ts";
import { limitsCommand } from "./limits.ts";
import { listenCommand } from "./listen.ts";
import { portalCommand } from "./portal.ts";
import { publishCommand } from "./publish.ts";
import type { OpenSealedStore } from "./reencrypt.ts";
import { replayCommand } from "./replay.ts";
import { type Start, serveCommand } from "./serve.ts";
import { overviewCommand, statsCommand } from "./stats.ts";
import { subscriptionsCommand } from "./subscriptions.ts";
import { explainCommand, tailCommand } from "./tail.ts";
import { whoamiCommand } from "./whoami.ts";

export interface CommandDeps {
  readonly serve: Start;
  readonly demo: Start;
  readonly init: InitDeps;
  readonly openStore: OpenAdminStore;
  readonly openSealedStore: OpenSealedStore;
  readonly doctor: DoctorDeps;
}

export function allCommands(deps: CommandDeps): readonly AddCommand[] {
  return [
    serveCommand(deps.serve),
    demoCommand(deps.demo),
    initCommand(deps.init),
    doctorCommand(deps.doctor),
    configCommand(),
    publishCommand(),
    tailCommand(),
    eventsCommand(),
    explainCommand(),
    deadLettersCommand(),
    subscriptionsCommand(),
    deliveriesCommand(),
    replayCommand(),
    listenCommand(),
    binsCommand(),
    statsCommand(),
    overviewCommand(),
    changesCommand(),
    limitsCommand(),
    passesCommand(),
    organisationCommand(),
    whoamiCommand(),
    keysCommand(deps.openStore, deps.openSealedStore),
    portalCommand(),
    auditCommand(),
    completionCommand(),
  ];
}
