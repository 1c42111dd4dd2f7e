import type { CompletedCommand } from "./completion.ts";

/** bash splits words at "=", so `--state=enabled` comes as three. */
export function bashScript(commands: readonly CompletedCommand[]): string {
  return `# What bash completes of passbus. In ~/.bashrc: source <(passbus completion bash)
${FILES_FUNCTION}
_passbus() {
  local cur=\${COMP_WORDS[COMP_CWORD]} at="" opt="" many="" word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == "=" ]]; then continue; fi
${wordCases(commands)}
  done
  if [[ $cur == "=" ]]; then cur=""; fi
  if [[ -n $opt && $cur != -* ]]; then
    case "$at|$opt" in
${commands.flatMap(valueCases).join("\n")}
    esac
    return
  fi
  if [[ $cur == -* ]]; then
    case "$at" in
${commands.map(({ path, options }) => `      ${quoted(path)}) ${reply(options.map(({ word }) => word))} ;;`).join("\n")}
    esac
    return
  fi
  case "$at" in
${commands.map((command) => `    ${quoted(command.path)}) ${wordsOf(command)} ;;`).join("\n")}
  esac
}
complete -F _passbus passbus
`;
}

/** What one more word before the cursor changes: the command that is meant, or the option that waits for a value. */
export function wordCases(commands: readonly CompletedCommand[]): string {
  return `    if [[ $word == -* ]]; then
      opt="" many=""
      case "$at|$word" in
${casesOf(commands, "one", "opt=$word")}
${casesOf(commands, "many", "opt=$word many=yes")}
      esac
    elif [[ -n $opt ]]; then
      if [[ -z $many ]]; then opt=""; fi
    else
      case "$at|$word" in
${commandCases(commands)}
      esac
    fi`;
}

/** Which option stands before, and how much it takes. */
function casesOf(commands: readonly CompletedCommand[], takes: "one" | "many", then: string): string {
  const patterns = commands.flatMap(({ path, options }) =>
    options.filter((option) => option.takes === takes).map(({ word }) => quoted(`${path}|${word}`)),
  );
  return `        ${patterns.join("|")}) ${then} ;;`;
}

/** Which words lead to a command below. */
function commandCases(commands: readonly CompletedCommand[]): string {
  return commands
    .flatMap(({ path, commands: below }) =>
      below.map(({ word }) => `        ${quoted(`${path}|${word}`)}) at=${quoted(`${path} ${word}`.trim())} ;;`),
    )
    .join("\n");
}

function valueCases({ path, options }: CompletedCommand): readonly string[] {
  return options.flatMap(({ word, choices, isFile }) => {
    if (!isFile && choices.length === 0) return [];
    return [`      ${quoted(`${path}|${word}`)}) ${isFile ? FILES : reply(choices)} ;;`];
  });
}

const FILES = "_passbus_files";

/** With nothing to choose from readline completes names itself: it quotes blanks, and puts a slash behind directories. */
const FILES_FUNCTION = `_passbus_files() {
  local name
  if compopt -o default 2>/dev/null; then return; fi
  # A bash of before 4.0: what stands here is inserted as it is.
  while IFS= read -r name; do COMPREPLY+=("$(printf %q "$name")"); done < <(compgen -f -- "$cur")
}`;

function wordsOf({ commands, choices, isFile }: CompletedCommand): string {
  return isFile ? FILES : reply([...commands.map(({ word }) => word), ...choices]);
}

function reply(words: readonly string[]): string {
  return `COMPREPLY=($(compgen -W ${quoted(words.join(" "))} -- "$cur"))`;
}

/** The shells that read Bourne's quotes. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
