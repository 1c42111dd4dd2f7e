/** PyPI's passkit-python-grpc-sdk as it comes, in a Python process that answers lines (python_sdk.py). */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { onPath, type Probe } from "../requirements.ts";
import { cached, install } from "../services/install.ts";
import { runOwned } from "../services/owned.ts";
import { within } from "../within.ts";
import { type PassKitSdk, type ReadSink, SdkError } from "./sdk.ts";

const PACKAGE = "passkit-python-grpc-sdk==1.1.162";

/** Where its Python is, or what is missing. Fetches the package once a machine. */
export async function findPythonSdk(): Promise<{ readonly command: string } | { readonly missing: string }> {
  if (!onPath("python3")) return { missing: "no python3 on PATH" };
  try {
    const environment = await install(cached("passkit-python", PACKAGE), async (folder, logFile) => {
      await runOwned("python3", ["-m", "venv", folder], logFile);
      const pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", PACKAGE];
      await runOwned(join(folder, "bin", "python"), pip, logFile);
    });
    return { command: join(environment, "bin", "python") };
  } catch (error) {
    const why = error instanceof Error ? error.message.slice(0, 300) : String(error);
    return { missing: `${PACKAGE} can't be installed: ${why}` };
  }
}

export function probeOf(found: Awaited<ReturnType<typeof findPythonSdk>>): Probe {
  return () => ("missing" in found ? found : true);
}

type Said = { readonly answer: unknown } | { readonly code: number; readonly details: string };

/** `address` is host:port. Calls go one at a time. */
export function pythonSdk(command: string, address: string, key: string): PassKitSdk {
  const child = spawn(command, [join(import.meta.dirname, "python_sdk.py"), address, key], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = once(child, "exit");
  const call = async (method: string, asked: object): Promise<unknown> => {
    child.stdin.write(`${JSON.stringify([method, asked])}\n`);
    const { value } = await within(20_000, `Python's answer to ${method}`, lines.next());
    if (typeof value !== "string") throw new Error(`Python ended before it answered ${method}`);
    const said: Said = JSON.parse(value);
    if ("code" in said) throw new SdkError(said.code, said.details);
    return said.answer;
  };
  const named = (protocol: number, subscriptionId: string) => ({ protocol, subscriptionId });
  return {
    create: async (sink) => String(await call("createSinkSubscription", sink)),
    get: async (protocol, id) => (await call("getSinkSubscription", named(protocol, id))) as ReadSink,
    list: async (list) => (await call("listSinkSubscriptions", list)) as readonly ReadSink[],
    listDeprecated: async (list) => (await call("listSinkSubscriptionsDeprecated", list)) as readonly ReadSink[],
    update: async (sink) => String(await call("updateSinkSubscription", sink)),
    remove: async (protocol, id) => void (await call("deleteSinkSubscription", named(protocol, id))),
    sample: async (id) => (await call("getSampleSubscriptionEvent", { id })) as ReadSink,
    getIntegrations: async (protocol, classId) => void (await call("getIntegrations", { protocol, classId })),
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await within(10_000, "the end of Python", ended);
    },
  };
}
