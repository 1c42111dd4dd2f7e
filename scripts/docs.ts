/** Writes the generated pages of docs/ anew. test/docs.test.ts fails where they differ from the sources. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { generatedPages } from "./pages.ts";

const root = join(import.meta.dirname, "..");

for (const { path, text } of generatedPages()) {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
  console.log(`wrote ${path}`);
}
