/** Runs the dashboard's verification snippets, each in a process of its language. */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { type Language, type Scheme, snippet } from "../../src/dashboard/pages/subscriptions/snippets.ts";
import { onPath, type Requirement, requirement } from "./requirements.ts";
import { within } from "./within.ts";

/** A webhook; names of headers in lower case. */
export interface Case {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What the snippet of a language says of each webhook, in order. */
export type RunSnippet = (
  scheme: Scheme,
  cases: readonly Case[],
  environment: Readonly<Record<string, string>>,
) => Promise<readonly boolean[]>;

interface Program {
  /** File name → text. */
  readonly files: Readonly<Record<string, string>>;
  readonly command: readonly [string, ...string[]];
}

const LIMIT_MS = 100_000;

/** One line a case: the body, then each header's name and value, all in base64, between blanks. */
function lineOf({ headers, body }: Case): string {
  const encoded = (value: string) => Buffer.from(value).toString("base64");
  const pairs = Object.entries(headers).flatMap(([name, value]) => [encoded(name), encoded(value)]);
  // An empty text would be no field at all.
  return [body.toString("base64"), ...pairs].map((field) => field || "=").join(" ");
}

const NODE_MAIN = `import { createInterface } from "node:readline";
import { verify } from "./verify.mjs";
const decode = (field) => Buffer.from(field === "=" ? "" : field, "base64");
for await (const line of createInterface({ input: process.stdin })) {
  const [body, ...fields] = line.split(" ").map(decode);
  const headers = {};
  for (let at = 0; at < fields.length; at += 2) headers[fields[at].toString()] = fields[at + 1].toString();
  console.log(verify(headers, body));
}
`;

const PYTHON_MAIN = `import base64
import sys
from verify import verify
for line in sys.stdin:
    body, *fields = [base64.b64decode("" if field == "=" else field) for field in line.split()]
    headers = {fields[at].decode(): fields[at + 1].decode() for at in range(0, len(fields), 2)}
    print("true" if verify(headers, body) else "false")
`;

const GO_MAIN = `package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"

	"example.com/receiver/webhooks"
)

func decode(field string) []byte {
	bytes, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(field, "="))
	if err != nil {
		panic(err)
	}
	return bytes
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), " ")
		headers := http.Header{}
		for at := 1; at < len(fields); at += 2 {
			headers.Set(string(decode(fields[at])), string(decode(fields[at+1])))
		}
		fmt.Println(webhooks.Verify(headers, decode(fields[0])))
	}
}
`;

const JAVA_MAIN = `final class Main {
  static byte[] decode(String field) {
    return java.util.Base64.getDecoder().decode(field.equals("=") ? "" : field);
  }

  public static void main(String[] arguments) throws Exception {
    var lines = new java.io.BufferedReader(new java.io.InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] fields = line.split(" ");
      var headers = new java.util.HashMap<String, String>();
      for (int at = 1; at < fields.length; at += 2) {
        headers.put(new String(decode(fields[at])), new String(decode(fields[at + 1])));
      }
      System.out.println(Webhooks.verify(headers, decode(fields[0])));
    }
  }
}

`;

const PHP_MAIN = `<?php
require __DIR__ . '/verify.php';
$decode = fn(string $field): string => base64_decode($field === '=' ? '' : $field, true);
while (($line = fgets(STDIN)) !== false) {
    $fields = array_map($decode, explode(' ', trim($line)));
    $headers = [];
    for ($at = 1; $at < count($fields); $at += 2) {
        $headers[$fields[$at]] = $fields[$at + 1];
    }
    echo verify($headers, $fields[0]) ? "true\\n" : "false\\n";
}
`;

function programOf(language: Language, code: string): Program {
  switch (language) {
    case "Node":
      return { files: { "verify.mjs": code, "main.mjs": NODE_MAIN }, command: [process.execPath, "main.mjs"] };
    case "Python":
      return { files: { "verify.py": code, "main.py": PYTHON_MAIN }, command: ["python3", "main.py"] };
    case "Go":
      return {
        files: {
          "go.mod": "module example.com/receiver\n\ngo 1.21\n",
          "main.go": GO_MAIN,
          "webhooks/webhooks.go": code,
        },
        command: ["go", "run", "."],
      };
    case "Java":
      // The first class of a file that `java` is given is the one that it starts.
      return {
        files: { "Main.java": code.replace("final class Webhooks", `${JAVA_MAIN}final class Webhooks`) },
        command: ["java", "-XX:TieredStopAtLevel=1", "Main.java"],
      };
    case "PHP":
      return { files: { "verify.php": code, "main.php": PHP_MAIN }, command: ["php", "main.php"] };
  }
}

async function runProgram(
  { files, command: [command, ...args] }: Program,
  cases: readonly Case[],
  environment: Readonly<Record<string, string>>,
): Promise<readonly boolean[]> {
  const folder = await mkdtemp(join(tmpdir(), "passbus-snippet-"));
  try {
    for (const [name, code] of Object.entries(files)) {
      const path = join(folder, name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, code);
    }
    const child = spawn(command, args, { cwd: folder, env: { ...process.env, ...environment } });
    child.stdin.end(`${cases.map(lineOf).join("\n")}\n`);
    const [out, err] = await within(
      LIMIT_MS,
      `the end of ${command}`,
      Promise.all([text(child.stdout), text(child.stderr)]),
    );
    const verdicts = out.trim().split("\n");
    if (verdicts.length !== cases.length) throw new Error(`${command} said ${JSON.stringify(out)}: ${err}`);
    return verdicts.map((verdict) => verdict === "true");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Any Python 3 will do here. */
const python = () => onPath("python3") || { missing: "no python3 on PATH" };

/** What else than Node the machine must have. */
export const RUNTIMES: readonly (readonly [Language, Requirement])[] = [
  ["Python", requirement("python", python)],
  ["Go", requirement("go", () => onPath("go"))],
  ["Java", requirement("java", () => onPath("java"))],
  ["PHP", requirement("php", () => onPath("php"))],
];

export function runnerOf(language: Language): RunSnippet {
  return (scheme, cases, environment) => runProgram(programOf(language, snippet(language, scheme)), cases, environment);
}
