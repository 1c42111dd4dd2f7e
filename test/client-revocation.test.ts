/** Clients' certificates that their authority took back: refused over real TLS, with a key and without. */
import { createPrivateKey } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { AccessService } from "../gen/passbus/v1/access_service_pb.js";
import { signProof } from "../src/access/certificate-proof.ts";
import { idOfKey } from "../src/access/keys.ts";
import { type Clock, systemClock } from "../src/kernel/clock.ts";
import { ADMIN_KEY, type TestApi, testApi } from "./support/api.ts";
import { bodyOf } from "./support/receiver.ts";

const file = (name: string) => readFileSync(join(import.meta.dirname, "support/tls", name));
const text = (name: string) => file(name).toString();
const withoutLists = { cert: text("cert.pem"), key: text("key.pem"), clientCa: text("revoked/authority.pem") };
const tlsWith = (list: string) => ({ ...withoutLists, clientCrls: [text(`revoked/${list}.crl`)] });

/** What is believed of a certificate, and bad tries, are forgotten at once. */
const forgetful: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() * 10_000 };

let api: TestApi;
beforeAll(async () => {
  api = await testApi({ clock: forgetful, tls: tlsWith("none") });
  const transport = createConnectTransport({
    baseUrl: api.url,
    httpVersion: "1.1",
    nodeOptions: { ca: file("cert.pem") },
    interceptors: [
      (next) => (call) => {
        call.header.set("authorization", `Bearer ${ADMIN_KEY}`);
        return next(call);
      },
    ],
  });
  const access = createClient(AccessService, transport);
  for (const name of ["good", "revoked"]) {
    const id = idOfKey(api.stage.key("viewer")) ?? "";
    const nowMs = systemClock.now();
    const signature = signProof(createPrivateKey(file("clients/key.pem")), id, nowMs);
    const certificate = file(`revoked/${name}.pem`);
    await access.bindKeyCertificate({ id, certificate, signature, signedAt: timestampFromMs(nowMs) });
  }
});
afterAll(() => api.stop(0));
beforeEach(() => api.replaceTls(tlsWith("none")));

type Version = "TLSv1.2" | "TLSv1.3";

const agentOf = (name: string, version: Version = "TLSv1.3") =>
  new Agent({
    minVersion: version,
    maxVersion: version,
    ca: file("cert.pem"),
    cert: file(`revoked/${name}.pem`),
    key: file("clients/key.pem"),
    maxCachedSessions: 9,
  });

/** The status of a call over a new connection, with an API key or without, or "cut"; and whether a session was resumed. */
async function call(agent: Agent, key?: string): Promise<readonly [status: number | "cut", resumed: boolean]> {
  const sent = request(`${api.url}/passbus.v1.AccessService/GetLimits`, {
    agent,
    method: "POST",
    headers: {
      "content-type": "application/json",
      connection: "close",
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
    },
  });
  sent.end("{}");
  try {
    const [response] = await once(sent, "response");
    const resumed = (response.socket as TLSSocket).isSessionReused();
    await bodyOf(response);
    return [response.statusCode ?? 0, resumed];
  } catch {
    return ["cut", false];
  }
}

test("a certificate that is on the list is refused at the handshake, whatever the call carries; its neighbour is not", async () => {
  const [good, revoked] = [agentOf("good"), agentOf("revoked")];
  expect([(await call(good))[0], (await call(revoked))[0]]).toEqual([200, 200]);
  api.replaceTls(tlsWith("revoked"));
  expect(await call(agentOf("revoked"))).toEqual(["cut", false]);
  expect(await call(agentOf("revoked"), ADMIN_KEY)).toEqual(["cut", false]);
  expect((await call(agentOf("good")))[0]).toBe(200);
});

describe.each(["TLSv1.2", "TLSv1.3"] as const)("a session of %s", (version) => {
  // A list goes out of date all by itself: nothing is replaced then that would end the sessions of before.
  test("is not taken up again with lists, since its certificate would not be verified again", async () => {
    const good = agentOf("good", version);
    expect([await call(good), await call(good)]).toEqual([
      [200, false],
      [200, false],
    ]);
  });

  test("is taken up again without lists, and no more once they have come", async () => {
    api.replaceTls(withoutLists);
    const revoked = agentOf("revoked", version);
    await call(revoked);
    expect(await call(revoked)).toEqual([200, true]);
    api.replaceTls(tlsWith("revoked"));
    expect(await call(revoked)).toEqual(["cut", false]);
    api.replaceTls(tlsWith("none"));
    expect((await call(revoked))[0]).toBe(200);
  });
});

test("past a list's next update no certificate of its authority counts, and keys go on counting", async () => {
  api.replaceTls(tlsWith("expired"));
  expect((await call(agentOf("good")))[0]).toBe(401);
  expect((await call(agentOf("good"), ADMIN_KEY))[0]).toBe(200);
});
