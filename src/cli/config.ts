/** `passbus config`: the settings in effect, and where each comes from. */
import { type AddCommand, CommandFailed, EXIT, type Terminal } from "./cli.ts";
import { cut, type Row, shown, tableOf } from "./table.ts";

interface ConfigOptions {
  readonly check?: true;
  readonly json?: true;
}

export function configCommand(): AddCommand {
  return (program, terminal) => {
    program
      .command("config")
      .description("show the settings in effect and where each comes from; of secrets their length alone")
      .option("--check", "only say what is wrong, and what is hardly meant")
      .option("--json", "one in JSON a line, for programs")
      .action((options: ConfigOptions) => showConfig(options, terminal));
  };
}

/** Ends with a wrong usage where the settings are wrong, as `serve` would. */
function showConfig(options: ConfigOptions, terminal: Terminal): void {
  const { settings, unknown, advice } = terminal.describeSettings();
  const wrong = settings.filter((each) => each.wrong !== undefined);
  const listed = options.check === true ? wrong : settings;
  if (options.json === true) for (const each of listed) terminal.out(`${JSON.stringify(each)}\n`);
  else if (options.check !== true) terminal.out(tableOf(["VARIABLE", "FROM", "VALUE"], settings.map(rowOf)));
  for (const { field, description } of advice) terminal.err(`note: ${field} ${description}\n`);
  for (const { variable, nearest } of unknown) {
    terminal.err(`note: ${variable} is no setting; ${nearest} is the nearest\n`);
  }
  if (wrong.length > 0) {
    const lines = wrong.map(({ variable, wrong: flaw }) => `${variable}: ${flaw}`);
    throw new CommandFailed(lines.join("\n"), { exitCode: EXIT.usage });
  }
  if (options.check === true) terminal.err("the settings are valid\n");
}

const VALUE_CHARACTERS = 80;

function rowOf({ variable, value, from }: { variable: string; value: string; from: string }): Row {
  return [variable, from, cut(shown(value), VALUE_CHARACTERS)];
}
