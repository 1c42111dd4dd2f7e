import type { CompletedCommand, CompletedWord } from "./completion.ts";

/** One function that prints what may come, a word and what it is about a line: fish asks it once. */
export function fishScript(commands: readonly CompletedCommand[]): string {
  return `# What fish completes of passbus: passbus completion fish > ~/.config/fish/completions/passbus.fish
function __passbus_words
    set -l cur (commandline -ct)
    set -l at ''
    set -l opt ''
    set -l many ''
    set -l before (commandline -opc)
    for word in $before[2..-1]
        if string match -q -- '-*' $word
            set opt ''
            set many ''
            switch "$at|$word"
                case ${optionsOf(commands, "one")}
                    set opt $word
                case ${optionsOf(commands, "many")}
                    set opt $word
                    set many yes
            end
        else if test -n "$opt"
            test -z "$many"; and set opt ''
        else
            switch "$at|$word"
${commands.flatMap(commandCases).join("\n")}
            end
        end
    end
    set -l prefix ''
    if string match -q -- '--*=*' $cur
        set opt (string split -m 1 = -- $cur)[1]
        set prefix "$opt="
    end
    if test -n "$opt"; and begin; test -n "$prefix"; or not string match -q -- '-*' $cur; end
        switch "$at|$opt"
${commands.flatMap(valueCases).join("\n")}
        end
        return
    end
    if string match -q -- '-*' $cur
        switch "$at"
${commands.map(({ path, options }) => `            case ${quoted(path)}\n${printed(options)}`).join("\n")}
        end
        return
    end
    switch "$at"
${commands.flatMap(wordCases).join("\n")}
    end
end
complete -c passbus -f -a '(__passbus_words)'
`;
}

function optionsOf(commands: readonly CompletedCommand[], takes: "one" | "many"): string {
  return commands
    .flatMap(({ path, options }) =>
      options.filter((option) => option.takes === takes).map(({ word }) => quoted(`${path}|${word}`)),
    )
    .join(" ");
}

function commandCases({ path, commands }: CompletedCommand): readonly string[] {
  return commands.map(
    ({ word }) =>
      `                case ${quoted(`${path}|${word}`)}\n                    set at ${quoted(`${path} ${word}`.trim())}`,
  );
}

const FILES = "                __fish_complete_path (string replace -r '^--[^=]*=' '' -- $cur)";

function valueCases({ path, options }: CompletedCommand): readonly string[] {
  return options.flatMap(({ word, choices, isFile }) => {
    if (!isFile && choices.length === 0) return [];
    const then = isFile
      ? FILES
      : `                printf '%s\\n' ${choices.map((choice) => `"$prefix"${quoted(choice)}`).join(" ")}`;
    return [`            case ${quoted(`${path}|${word}`)}\n${then}`];
  });
}

function wordCases({ path, commands, choices, isFile }: CompletedCommand): readonly string[] {
  if (isFile) return [`        case ${quoted(path)}\n    ${FILES.trim()}`];
  const words = [...commands, ...choices.map((word) => ({ word, about: "" }))];
  return words.length === 0 ? [] : [`        case ${quoted(path)}\n${printed(words)}`];
}

function printed(words: readonly CompletedWord[]): string {
  return words
    .map(({ word, about }) => `                printf '%s\\t%s\\n' ${quoted(word)} ${quoted(about)}`)
    .join("\n");
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
