import { link, mkdir, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { CodedError } from "../../kernel/errors.ts";

/** Group and others may do nothing. */
const FOREIGN_BITS = 0o077;

/**
 * Reads keys of the embedded server (the form of `PASSBUS_ENCRYPTION_KEYS`), or writes what `make` answers
 * where there is no such file. The file is never seen half written, and of two processes that start at once one makes
 * it and both read the same.
 *
 * @throws CodedError `config.invalid` where others may read or write the file, as ssh does with a private key.
 */
export async function readOrMakeKeyFile(path: string, make: () => string): Promise<string> {
  return (await readKeyFile(path)) ?? (await makeKeyFile(path, make()));
}

async function readKeyFile(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path, "r");
    const { mode } = await file.stat();
    // Windows has no such bits; there the directory's access list guards the file.
    if (process.platform !== "win32" && (mode & FOREIGN_BITS) !== 0) {
      const octal = (mode & 0o777).toString(8);
      throw new CodedError(
        "config.invalid",
        `${path} has mode ${octal}: others can reach the keys in it; right is "chmod 600 ${path}"`,
      );
    }
    return (await file.readFile("utf8")).trim();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Written aside, then linked: unlike a rename, a link does not replace the file of somebody who was quicker. */
async function makeKeyFile(path: string, keys: string): Promise<string> {
  const aside = `${path}.${process.pid}.new`;
  await mkdir(dirname(path), { recursive: true });
  await rm(aside, { force: true });
  {
    await using file = await open(aside, "wx", 0o600);
    await file.writeFile(`${keys}\n`);
    await file.sync();
  }
  try {
    await link(aside, path);
  } catch (error) {
    const theirs = isErrno(error, "EEXIST") ? await readKeyFile(path) : undefined;
    if (theirs === undefined) throw error;
    return theirs;
  } finally {
    await rm(aside, { force: true });
  }
  await syncDirectory(dirname(path));
  return keys;
}

/** Or a power cut could leave secrets in the store that were sealed under a key which no directory names. */
async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return;
  await using directory = await open(path, "r");
  await directory.sync();
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
