/**
 * What a parser says is wrong, without what it quotes of the text: a message goes into answers, logs and dead letters'
 * reasons, and the text may be somebody's data. V8 quotes what stands round the place (`Unexpected token 'x', "…x…" is not
 * valid JSON`), protobuf-es the value (`expected object, got "…"`). An unknown key is said again: it is its caller's typing
 * mistake, in an answer to that caller. For records, which have no such reader, see src/intake/forms/refusals.ts.
 */
export function withoutValues(message: string): string {
  return message
    .replace(/Unexpected token .*? is not valid JSON/gsu, "there is a token where none may stand")
    .replace(/^.* is not valid JSON$/gsu, "it is not valid JSON")
    .replace(/(cannot decode (?:message|enum) \S+ from JSON): ".*$/gsu, "$1: it is text")
    .replace(/(duplicate (?:object|map) key) ".*$/gsu, "$1")
    .replace(/map entry .*: expected (string|number|boolean|object|array)\b.*$/gsu, "map entry: expected $1")
    .replace(/map entry [^:].*$/gsu, "map entry: it is of another type")
    .replace(/(: expected [^,]*), got .*$/gsu, "$1");
}
