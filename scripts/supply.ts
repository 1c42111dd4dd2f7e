/**
 * What is shipped beside our own code: which packages run, under which licences, that none of them needs a script at its
 * installation, and what the registry knows against them. `npm run sbom` writes the list for whoever runs passbus.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");

interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly hasInstallScript?: boolean;
}

export interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
}

export interface Lock {
  /** By their folders; our own is "". */
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

/** Licences that let passbus be shipped with what is under them, closed or open. */
const LICENCES: ReadonlySet<string> = new Set([
  "MIT",
  "ISC",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "Apache-2.0",
  "(Apache-2.0 AND BSD-3-Clause)",
  "0BSD",
  "Unlicense",
]);

const nameOf = (folder: string) => folder.slice(folder.lastIndexOf("node_modules/") + "node_modules/".length);

async function readJson<T>(file: string): Promise<T> {
  return JSON.parse(await readFile(join(root, file), "utf8")) as T;
}

export async function readLock(): Promise<Lock> {
  return readJson<Lock>("package-lock.json");
}

/** Name and version of each package that runs, those for other platforms too. */
export function runtimePackages({ packages }: Lock): readonly (LockedPackage & { readonly name: string })[] {
  return Object.entries(packages)
    .filter(([folder, { dev, devOptional }]) => folder !== "" && dev !== true && devOptional !== true)
    .map(([folder, locked]) => ({ ...locked, name: nameOf(folder) }));
}

/** What is wrong with what is locked; empty where nothing is. */
export function supplyFlaws(manifest: Manifest, lock: Lock): readonly string[] {
  const flaws: string[] = [];
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    if (!/^\d+\.\d+\.\d+$/.test(version)) flaws.push(`${name}: ${version} is no exact version`);
  }
  for (const { name, version, license, integrity, hasInstallScript } of runtimePackages(lock)) {
    const which = `${name} ${version}`;
    if (hasInstallScript === true) flaws.push(`${which}: runs, and has an install script`);
    if (integrity === undefined) flaws.push(`${which}: has no integrity in package-lock.json`);
    if (license === undefined || !LICENCES.has(license)) flaws.push(`${which}: licence ${license} is not on the list`);
  }
  for (const [folder, { hasInstallScript }] of Object.entries(lock.packages)) {
    if (hasInstallScript === true && !Object.hasOwn(manifest.allowScripts, nameOf(folder))) {
      flaws.push(
        `${nameOf(folder)}: has an install script that nobody reviewed; say in allowScripts whether it may run`,
      );
    }
  }
  return flaws;
}

/** The check: what is wrong, or nothing. */
export async function supply(): Promise<string> {
  return supplyFlaws(await readJson<Manifest>("package.json"), await readLock()).join("\n");
}

function npm(...args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile("npm", args, { cwd: root, maxBuffer: 64 * 1024 * 1024, timeout: 60_000 }, (_error, stdout, stderr) => {
      resolve({ stdout, stderr });
    });
  });
}

interface Audit {
  readonly metadata?: { readonly vulnerabilities: { readonly total: number } };
  readonly vulnerabilities?: Readonly<Record<string, { readonly severity: string; readonly range: string }>>;
  readonly message?: string;
}

/** What the registry knows against what runs. A registry that answers no audits is no flaw, and is said. */
export async function audit(): Promise<string | { readonly skipped: string }> {
  const { stdout, stderr } = await npm("audit", "--omit=dev", "--json");
  return auditVerdict(stdout, stderr);
}

export function auditVerdict(stdout: string, stderr: string): string | { readonly skipped: string } {
  let answer: Audit;
  try {
    answer = JSON.parse(stdout) as Audit;
  } catch {
    return { skipped: `npm audit gave no answer: ${stderr.trim().slice(-200)}` };
  }
  if (answer.metadata === undefined) return { skipped: `the registry answers no audits: ${answer.message}` };
  const known = Object.entries(answer.vulnerabilities ?? {});
  return known.map(([name, { severity, range }]) => `${name} ${range}: ${severity}`).join("\n");
}

interface Bill {
  readonly components: readonly {
    readonly "bom-ref": string;
    readonly group?: string;
    readonly name: string;
    readonly version: string;
  }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn?: readonly string[] }[];
  readonly metadata: { readonly component: { readonly "bom-ref": string } };
}

/**
 * CycloneDX, of what runs. `npm sbom --omit=dev` leaves out packages that run and that a package for development asks for
 * too (npm 11), so what runs is taken out of the whole list by our own lock file.
 */
export async function billOfMaterials(): Promise<string> {
  const { stdout, stderr } = await npm("sbom", "--sbom-format", "cyclonedx");
  if (stdout === "") throw new Error(`npm sbom wrote nothing: ${stderr}`);
  const bill = JSON.parse(stdout) as Bill;
  const running = new Set(runtimePackages(await readLock()).map(({ name, version }) => `${name}@${version}`));
  const components = bill.components.filter(({ group, name, version }) =>
    running.has(`${group === undefined ? "" : `${group}/`}${name}@${version}`),
  );
  const kept = new Set([...components.map((each) => each["bom-ref"]), bill.metadata.component["bom-ref"]]);
  const dependencies = bill.dependencies
    .filter(({ ref }) => kept.has(ref))
    .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((each) => kept.has(each)) }));
  return `${JSON.stringify({ ...bill, components, dependencies }, null, 2)}\n`;
}
