/** `passbus listen` in a terminal that is closed under it: nothing of it stays behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { afterEach, describe, expect, it } from "vitest";
import { CreateBinResponseSchema, WatchBinResponseSchema } from "../gen/passbus/v1/inspector_service_pb.js";
import { CreateSubscriptionResponseSchema } from "../gen/passbus/v1/subscription_service_pb.js";
import { type AnsweringServer, answeringServer } from "./support/answering-server.ts";
import { onPath, requirement } from "./support/requirements.ts";
import { eventually } from "./support/within.ts";

const script = requirement("script", () => onPath("script"));
const LIMIT_MS = 60_000;
const MAIN = join(import.meta.dirname, "../src/main.ts");

let server: AnsweringServer | undefined;
let terminal: ChildProcess | undefined;
afterEach(async () => {
  terminal?.kill("SIGKILL");
  await server?.stop();
});

describe.skipIf(!script.present)(script.title("a terminal that is closed"), () => {
  it(
    "takes the subscription and the bin of passbus listen with it",
    async () => {
      const url = "https://bus.test/bins/bin_1";
      server = await answeringServer({
        "passbus.v1.InspectorService/CreateBin": () => create(CreateBinResponseSchema, { bin: { id: "bin_1", url } }),
        "passbus.v1.SubscriptionService/CreateSubscription": () =>
          create(CreateSubscriptionResponseSchema, { subscription: { id: "sub_1" }, secret: "whsec_x" }),
        "passbus.v1.InspectorService/WatchBin": () => create(WatchBinResponseSchema),
      });
      const command = `exec ${process.execPath} ${MAIN} listen --url ${server.url} --forward-to http://127.0.0.1:1/`;
      const env = { ...process.env, PASSBUS_KEY: "a-key-that-is-long-enough" };
      terminal = spawn("script", ["--quiet", "--flush", "--command", command, "/dev/null"], { env });
      let said = "";
      terminal.stdout?.on("data", (piece) => {
        said += piece;
      });
      await eventually(LIMIT_MS, "its being connected", () => said.includes("sending on") || undefined);
      terminal.kill("SIGKILL");
      const { called } = server;
      for (const name of ["SubscriptionService/DeleteSubscription", "InspectorService/DeleteBin"]) {
        await eventually(LIMIT_MS, name, () => called.has(`passbus.v1.${name}`) || undefined);
      }
      expect(said).toContain("whsec_x");
    },
    2 * LIMIT_MS,
  );
});
