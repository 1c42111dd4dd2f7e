/** `npm run sbom`: writes dist/sbom.cdx.json, what is shipped beside our own code (CycloneDX 1.5). */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { billOfMaterials } from "./supply.ts";

const folder = join(import.meta.dirname, "..", "dist");
await mkdir(folder, { recursive: true });
await writeFile(join(folder, "sbom.cdx.json"), await billOfMaterials());
console.log("wrote dist/sbom.cdx.json");
