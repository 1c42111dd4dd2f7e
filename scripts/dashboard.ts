/**
 * `npm run build:dashboard`: src/dashboard becomes dist/dashboard, each file beside its gzip and brotli forms, so that
 * serving costs no compression. `--if-stale` builds only where a source is newer than what was built; where vite isn't
 * installed (production packages alone), it says so and goes on: passbus serves without a dashboard then.
 */
import { globSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const ROOT = join(import.meta.dirname, "..");
const SOURCES = join(ROOT, "src", "dashboard");
export const DASHBOARD_BUILT = join(ROOT, "dist", "dashboard");

const LOCK = `${DASHBOARD_BUILT}.lock`;
/** A build takes two seconds; a machine may be busy with other things. */
const LOCK_LIFE_MS = 120_000;
const LOOK_EVERY_MS = 100;

/** Smaller files are served as they are. */
const COMPRESSED_FROM_BYTES = 512;

/** Whether dist/dashboard is missing, or older than what it is made of. */
function isStale(): boolean {
  const built = statSync(join(DASHBOARD_BUILT, "index.html"), { throwIfNoEntry: false });
  if (built === undefined) return true;
  const sources = globSync(["src/dashboard/**/*", "gen/**/*.js", "package-lock.json"], { cwd: ROOT });
  return sources.some((file) => statSync(join(ROOT, file)).mtimeMs > built.mtimeMs);
}

/** Builds beside what is there and then takes its place, so that a passbus that starts meanwhile reads one or the other. */
export async function buildDashboard(): Promise<void> {
  const startedAt = new Date();
  const { build } = await import("vite");
  const { default: react } = await import("@vitejs/plugin-react");
  const fresh = `${DASHBOARD_BUILT}.${process.pid}`;
  // Which React is bundled goes by this; under vitest it is "test", and would be React for development.
  const environment = process.env.NODE_ENV;
  process.env.NODE_ENV = "production";
  try {
    await build({
      configFile: false,
      root: SOURCES,
      logLevel: "warn",
      plugins: [react()],
      build: {
        outDir: fresh,
        emptyOutDir: true,
        target: "es2022",
        // Inlined assets would be data: URLs, which the content security policy has no place for.
        assetsInlineLimit: 0,
        modulePreload: { polyfill: false },
        reportCompressedSize: false,
        // React, React Aria and Connect in one; what counts is its compressed size, which test/browser holds.
        chunkSizeWarningLimit: 700,
      },
    });
    for (const file of globSync("**/*.{html,js,css,svg}", { cwd: fresh })) compress(join(fresh, file));
    // A source that was changed during the build is newer than it.
    utimesSync(join(fresh, "index.html"), startedAt, startedAt);
    rmSync(DASHBOARD_BUILT, { recursive: true, force: true });
    renameSync(fresh, DASHBOARD_BUILT);
  } finally {
    if (environment === undefined) delete process.env.NODE_ENV;
    else process.env.NODE_ENV = environment;
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** Of those that find it stale at the same time, one builds it and the others wait. */
export async function buildIfStale(): Promise<void> {
  mkdirSync(dirname(DASHBOARD_BUILT), { recursive: true });
  while (isStale()) {
    const isOurs = takeLock();
    if (!isOurs) {
      await delay(LOOK_EVERY_MS);
      continue;
    }
    try {
      if (isStale()) await buildDashboard();
    } finally {
      rmSync(LOCK, { recursive: true, force: true });
    }
  }
}

/** A lock whose owner was killed is taken away; two that do so at once build twice, which does no harm. */
function takeLock(): boolean {
  const held = statSync(LOCK, { throwIfNoEntry: false });
  if (held !== undefined && Date.now() - held.mtimeMs > LOCK_LIFE_MS) rmSync(LOCK, { recursive: true, force: true });
  try {
    mkdirSync(LOCK);
    return true;
  } catch {
    return false;
  }
}

function compress(file: string): void {
  const bytes = readFileSync(file);
  if (bytes.length < COMPRESSED_FROM_BYTES) return;
  writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
  writeFileSync(
    `${file}.br`,
    brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
  );
}

async function hasVite(): Promise<boolean> {
  return import("vite").then(
    () => true,
    () => false,
  );
}

if (import.meta.main) {
  if (process.argv.includes("--if-stale")) {
    if (isStale()) {
      if (await hasVite()) {
        console.log("building the dashboard, once …");
        await buildIfStale();
      } else {
        console.log("no dashboard: vite is not installed (npm ci without --omit=dev installs it)");
      }
    }
  } else {
    await buildDashboard();
  }
}
