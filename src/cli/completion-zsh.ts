import type { CompletedCommand, CompletedWord } from "./completion.ts";
import { quoted, wordCases } from "./completion-bash.ts";

export function zshScript(commands: readonly CompletedCommand[]): string {
  return `#compdef passbus
# What zsh completes of passbus. In ~/.zshrc, behind compinit: source <(passbus completion zsh)
_passbus() {
  local cur=\${words[CURRENT]} at="" opt="" many="" word i
  local -a found
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
${wordCases(commands)}
  done
  if [[ $cur == --*=* ]]; then
    opt=\${cur%%=*}
    compset -P '*='
    cur=\${cur#*=}
  fi
  if [[ -n $opt && $cur != -* ]]; then
    case "$at|$opt" in
${commands.flatMap(valueCases).join("\n")}
    esac
    return
  fi
  if [[ $cur == -* ]]; then
    case "$at" in
${commands.map(({ path, options }) => `      ${quoted(path)}) ${described(options, "option")} ;;`).join("\n")}
    esac
    return
  fi
  case "$at" in
${commands.map((command) => `    ${quoted(command.path)}) ${wordsOf(command)} ;;`).join("\n")}
  esac
}
compdef _passbus passbus
`;
}

function valueCases({ path, options }: CompletedCommand): readonly string[] {
  return options.flatMap(({ word, choices, isFile }) => {
    if (!isFile && choices.length === 0) return [];
    const then = isFile ? "_files" : `compadd -- ${choices.map(quoted).join(" ")}`;
    return [`      ${quoted(`${path}|${word}`)}) ${then} ;;`];
  });
}

function wordsOf({ commands, choices, isFile }: CompletedCommand): string {
  if (isFile) return "_files";
  if (choices.length > 0) return `compadd -- ${choices.map(quoted).join(" ")}`;
  return commands.length === 0 ? "" : described(commands, "command");
}

/** In `_describe`'s form a colon parts the word from what it is about. */
function described(words: readonly CompletedWord[], what: string): string {
  const items = words.map(({ word, about }) => quoted(`${word.replaceAll(":", "\\:")}:${about}`));
  return `found=(${items.join(" ")}); _describe ${what} found`;
}
