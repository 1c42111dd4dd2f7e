/**
 * What a suite needs that a machine may lack. A suite that needs it says so in one form, which
 * test/tidy.test.ts holds everyone to:
 *
 *     const grpcurl = requirement("grpcurl", () => onPath("grpcurl"));
 *     describe.skipIf(!grpcurl.present)(grpcurl.title("the tour of the README"), () => { … });
 *
 * Where the thing is missing the suite is skipped and its title names the thing, which the last lines of
 * `npm test` repeat. Where PASSBUS_TEST_REQUIRE (names, comma-separated) names it, the run fails instead.
 */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** The things that suites may need, and how a machine comes by each. */
const known = {
  kafka: "no broker was found",
  mongodb: "no server was found",
  plans: "no server that tells its plans as MongoDB does was found",
  browser: "no chromium on PATH; .ci/run installs it",
  grpcurl: "no grpcurl on PATH; .ci/run installs it",
  kcat: "no kcat on PATH; .ci/run installs it",
  go: "no go on PATH",
  java: "no java on PATH",
  php: "no php on PATH; .ci/run installs it",
  faketime: "no libfaketime was found; .ci/run installs it",
  strace: "no strace on PATH, or it may not trace; .ci/run installs it",
  mount: "no file system can be mounted: that takes root",
  python: "no python3 with PassKit's package was found",
  script: "no script (of util-linux) on PATH",
  zsh: "no zsh on PATH",
  fish: "no fish on PATH",
} as const;

export type RequirementName = keyof typeof known;

export interface Requirement {
  readonly name: RequirementName;
  readonly present: boolean;
  /** The suite's title, with what is missing if it is. */
  title(suite: string): string;
}

const variable = "PASSBUS_TEST_REQUIRE";

function isKnown(name: string): name is RequirementName {
  return Object.hasOwn(known, name);
}

/** The names that may not be missing in this run. Fails on a name that no suite can mean. */
export function required(value: string | undefined = process.env[variable]): RequirementName[] {
  const names = (value ?? "").split(",").map((name) => name.trim());
  return names
    .filter((name) => name !== "")
    .map((name) => {
      if (isKnown(name)) return name;
      const choice = Object.keys(known).join(", ");
      throw new Error(`${variable} names "${name}", which is none of: ${choice}`);
    });
}

/** Is the thing there? Where a probe knows more exactly than "no" why it isn't, it says so. */
export type Probe = () => boolean | { readonly missing: string };

/** Asks `probe` whether the thing is there; throws if it is not and this run requires it. */
export function requirement(name: RequirementName, probe: Probe): Requirement {
  const mustBe = required().includes(name);
  const answer = probe();
  const present = answer === true;
  // The note in the title ends at the first bracket, and the title at the line's end.
  const why = (typeof answer === "object" ? answer.missing : known[name]).replaceAll(/[\]\s]+/gu, " ").trim();
  if (!present && mustBe) {
    throw new Error(`${name} is required by ${variable} and is missing: ${why}`);
  }
  return {
    name,
    present,
    title: (suite) => (present ? suite : `${suite} [needs ${name}: ${why}]`),
  };
}

/** For a suite that needs several things: its title names the first that is missing. */
export function allOf(...requirements: readonly Requirement[]): Pick<Requirement, "present" | "title"> {
  const missing = requirements.find(({ present }) => !present);
  return { present: missing === undefined, title: (suite) => missing?.title(suite) ?? suite };
}

/** The note that `title` leaves on a suite which was skipped, from a test's full name. */
export function missingThing(fullName: string): { suite: string; missing: string } | undefined {
  const found = /^(?<suite>.*?) \[needs (?<missing>[a-z]+: [^\]]*)\]/u.exec(fullName)?.groups;
  if (found?.suite === undefined || found.missing === undefined) return undefined;
  return { suite: found.suite, missing: found.missing };
}

/** Is there an executable of this name on PATH? */
export function onPath(binary: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, binary), constants.X_OK);
      return folder !== "";
    } catch {
      return false;
    }
  });
}
