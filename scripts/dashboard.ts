/**
 * `npm run build:dashboard`: src/dashboard becomes dist/dashboard, each file beside its gzip and brotli forms, so that
 * serving costs no compression. `--if-stale` builds only where a source is newer than what was built; where vite isn't
 * installed (production packages alone), it says so and goes on: passbus serves without a dashboard then.
 */
import { globSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const ROOT = join(import.meta.dirname, "..");
const SOURCES = join(ROOT, "src", "dashboard");
export const DASHBOARD_BUILT = join(ROOT, "dist", "dashboard");

/** Smaller files are served as they are. */
const COMPRESSED_FROM_BYTES = 512;

/** Whether dist/dashboard is missing, or older than what it is made of. */
export function isStale(): boolean {
  const built = statSync(join(DASHBOARD_BUILT, "index.html"), { throwIfNoEntry: false });
  if (built === undefined) return true;
  const sources = globSync(["src/dashboard/**/*", "gen/**/*.js", "package-lock.json"], { cwd: ROOT });
  return sources.some((file) => statSync(join(ROOT, file)).mtimeMs > built.mtimeMs);
}

export async function buildDashboard(): Promise<void> {
  const { build } = await import("vite");
  const { default: react } = await import("@vitejs/plugin-react");
  await build({
    configFile: false,
    root: SOURCES,
    logLevel: "warn",
    plugins: [react()],
    build: {
      outDir: DASHBOARD_BUILT,
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
  for (const file of globSync("**/*.{html,js,css,svg}", { cwd: DASHBOARD_BUILT }))
    compress(join(DASHBOARD_BUILT, file));
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
        await buildDashboard();
      } else {
        console.log("no dashboard: vite is not installed (npm ci without --omit=dev installs it)");
      }
    }
  } else {
    await buildDashboard();
  }
}
