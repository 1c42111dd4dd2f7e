/** Calls that come with a client's certificate and no key, over real TLS, as PassKit's own SDK makes them too. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request as httpsRequest } from "node:https";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AccessService } from "../gen/passbus/v1/access_service_pb.js";
import { EventService } from "../gen/passbus/v1/event_service_pb.js";
import { SubscriptionService } from "../gen/passbus/v1/subscription_service_pb.js";
import type { Role } from "../src/access/access-store.ts";
import { signProof } from "../src/access/certificate-proof.ts";
import { fingerprintOf } from "../src/access/certificates.ts";
import { idOfKey } from "../src/access/keys.ts";
import { type Clock, systemClock } from "../src/kernel/clock.ts";
import { ADMIN_KEY, type TestApi, testApi } from "./support/api.ts";
import { failureOf } from "./support/grpc.ts";
import { nodeSdk } from "./support/passkit/node-sdk.ts";
import { SdkError } from "./support/passkit/sdk.ts";
import { bodyOf } from "./support/receiver.ts";
import { eventually, within } from "./support/within.ts";

const file = (name: string) => readFileSync(join(import.meta.dirname, "support/tls", name));
const SERVER = { cert: file("cert.pem").toString(), key: file("key.pem").toString() };
const printOf = (name: string) => fingerprintOf(new X509Certificate(file(`clients/${name}.pem`)));

/** What is believed of a certificate is forgotten at once, and so are bad tries, whose slow-down has tests of its own. */
const forgetful: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() * 10_000 };

let api: TestApi;
const ended: (() => void)[] = [];
beforeAll(async () => {
  api = await testApi({ clock: forgetful, tls: { ...SERVER, clientCa: file("clients/authority.pem").toString() } });
});
afterAll(async () => {
  for (const end of ended) end();
  await api.stop(0);
});

interface Way {
  /** Of test/support/tls/clients; without one, no certificate is shown. */
  readonly certificate?: string;
  readonly key?: string;
  readonly http?: "1.1" | "2";
}

const tlsOf = ({ certificate }: Way) => ({
  ca: file("cert.pem"),
  ...(certificate !== undefined && { cert: file(`clients/${certificate}.pem`), key: file("clients/key.pem") }),
});

/** A connection of its own. */
function transport(way: Way): Transport {
  const interceptors = [
    (next: Parameters<NonNullable<Parameters<typeof createGrpcTransport>[0]["interceptors"]>[number]>[0]) =>
      (async (request) => {
        if (way.key !== undefined) request.header.set("authorization", `Bearer ${way.key}`);
        return next(request);
      }) as typeof next,
  ];
  if (way.http === "1.1") {
    const nodeOptions = { ...tlsOf(way), agent: false as const };
    return createConnectTransport({ baseUrl: api.url, httpVersion: "1.1", interceptors, nodeOptions });
  }
  const sessionManager = new Http2SessionManager(api.url, {}, tlsOf(way));
  ended.push(() => sessionManager.abort());
  return createGrpcTransport({ baseUrl: api.url, interceptors, sessionManager });
}

const access = (way: Way) => createClient(AccessService, transport(way));
const admin = () => access({ key: ADMIN_KEY });

/** What binds the certificate to the key: with the signature of its private key, which all of them share. */
function binding(id: string, certificate: string) {
  const nowMs = systemClock.now();
  const signature = signProof(createPrivateKey(file("clients/key.pem")), id, nowMs);
  return { id, certificate: file(`clients/${certificate}.pem`), signedAt: timestampFromMs(nowMs), signature };
}

/** A key of the role that the certificate speaks for from now on. */
async function bound(certificate: string, role: Role): Promise<{ readonly id: string; readonly text: string }> {
  const text = api.stage.key(role);
  const id = idOfKey(text) ?? "";
  await free(certificate);
  await admin().bindKeyCertificate(binding(id, certificate));
  boundTo.set(certificate, id);
  // What was believed of it before is forgotten in half a second.
  if (certificate === "good") await eventually(30_000, "the binding", async () => (await speaks("good")) || undefined);
  return { id, text };
}

const speaks = (certificate: string) =>
  access({ certificate, http: "1.1" })
    .getLimits({})
    .then(
      () => true,
      () => false,
    );

const boundTo = new Map<string, string>();

async function free(certificate: string): Promise<void> {
  const id = boundTo.get(certificate);
  if (id === undefined) return;
  boundTo.delete(certificate);
  await admin().unbindKeyCertificate({ id, fingerprint: printOf(certificate) });
  await eventually(30_000, "the end of the binding", async () => ((await speaks(certificate)) ? undefined : true));
}

describe("a client's certificate that is bound to a key", { timeout: 90_000 }, () => {
  test.each(["2", "1.1"] as const)("has the key's rights, and no more, over HTTP/%s", async (http) => {
    await bound("good", "viewer");
    const way = { certificate: "good", http };
    expect((await access(way).getLimits({})).limits).toBeDefined();
    const refused = await failureOf(access(way).setLimits({ limits: {} }));
    expect([refused.code, refused.rawMessage]).toEqual([
      Code.PermissionDenied,
      "a key of the role viewer may not call passbus.v1.AccessService/SetLimits",
    ]);
    await free("good");
    expect((await failureOf(access(way).getLimits({}))).code).toBe(Code.Unauthenticated);
  });

  test("says nothing where the call carries a key, a wrong one too", async () => {
    await bound("good", "admin");
    const viewer = access({ certificate: "good", key: api.stage.key("viewer") });
    expect((await failureOf(viewer.listKeys({}))).code).toBe(Code.PermissionDenied);
    const wrong = access({ certificate: "good", key: "a-key-that-does-not-count" });
    expect((await failureOf(wrong.listKeys({}))).code).toBe(Code.Unauthenticated);
  });

  test.each([
    ["that the authorities don't vouch for, though it is bound", "stranger", true],
    ["that has expired", "expired", false],
    ["that nobody has bound", "second", false],
    ["that isn't shown", undefined, false],
  ] as const)("does not speak %s", async (_, certificate, isBound) => {
    if (isBound) await bound(certificate, "admin");
    const way = certificate === undefined ? {} : { certificate };
    expect((await failureOf(access(way).getLimits({}))).code).toBe(Code.Unauthenticated);
    // Whoever has a key is let in all the same: certificates are asked for, not required.
    expect((await access({ ...way, key: ADMIN_KEY }).getLimits({})).limits).toBeDefined();
  });

  test("goes with its key: calls on the same connection, and streams, end when it is revoked", async () => {
    const { text } = await bound("good", "viewer");
    const connection = transport({ certificate: "good" });
    const own = createClient(AccessService, connection);
    await own.getLimits({});
    const tail = createClient(EventService, connection).tailEvents({});
    const readOn = async () => {
      for await (const { event } of tail) expect(event).toBeUndefined();
    };
    const over = failureOf(readOn());
    // As a store answers for a key that is gone: what stands there of the certificate is of no use then.
    api.stage.revoke(text);
    boundTo.delete("good");
    expect((await within(30_000, "the end of the stream", over)).code).toBe(Code.Unauthenticated);
    expect((await failureOf(own.getLimits({}))).code).toBe(Code.Unauthenticated);
  });

  test("speaks when a TLS session is taken up again, too", async () => {
    await bound("good", "viewer");
    const agent = new Agent({ ...tlsOf({ certificate: "good" }), maxCachedSessions: 10 });
    const seen: [status: number | undefined, reused: boolean][] = [];
    for (let at = 0; at < 3; at += 1) {
      const sent = httpsRequest(`${api.url}/passbus.v1.AccessService/GetLimits`, {
        agent,
        method: "POST",
        headers: { "content-type": "application/json", connection: "close" },
      });
      sent.end("{}");
      const [response] = await once(sent, "response");
      seen.push([response.statusCode, (response.socket as TLSSocket).isSessionReused()]);
      await bodyOf(response);
    }
    agent.destroy();
    expect(seen.map(([status]) => status)).toEqual([200, 200, 200]);
    expect(seen.at(-1)?.[1]).toBe(true);
  });

  test("is bound and taken away by administrators, who find it with its key and in the audit log", async () => {
    const { key } = await admin().createKey({ key: { role: 4 } });
    const id = key?.id ?? "";
    const answer = await admin().bindKeyCertificate(binding(id, "second"));
    expect(answer.key).toMatchObject({ id, certificateFingerprints: [printOf("second")] });
    const { keys } = await admin().listKeys({});
    expect(keys.find((each) => each.id === id)?.certificateFingerprints).toEqual([printOf("second")]);
    const taken = await failureOf(
      admin().bindKeyCertificate(binding(idOfKey(api.stage.key("viewer")) ?? "", "second")),
    );
    expect(taken.code).toBe(Code.AlreadyExists);
    const operator = access({ key: api.stage.key("operator") });
    expect((await failureOf(operator.bindKeyCertificate({ id }))).code).toBe(Code.PermissionDenied);
    const other = access({ key: api.stage.key("admin", { organisation: "globex", environment: "production" }) });
    expect((await failureOf(other.bindKeyCertificate(binding(id, "second")))).code).toBe(Code.NotFound);
    const fingerprint = new X509Certificate(file("clients/second.pem")).fingerprint256;
    expect((await failureOf(other.unbindKeyCertificate({ id, fingerprint }))).code).toBe(Code.NotFound);
    await admin().unbindKeyCertificate({ id, fingerprint });
    expect((await failureOf(admin().unbindKeyCertificate({ id, fingerprint }))).code).toBe(Code.NotFound);
    const { records } = await admin().listAuditRecords({ target: id });
    expect(records.map(({ action, refused }) => [action.split("/")[1], refused])).toEqual(
      expect.arrayContaining([
        ["UnbindKeyCertificate", false],
        ["BindKeyCertificate", false],
        ["CreateKey", false],
      ]),
    );
  });
});

describe("binding a certificate", { timeout: 90_000 }, () => {
  const certificate = file("clients/good.pem");
  const refusedField = async (call: Promise<unknown>) => {
    const failure = await failureOf(call);
    return [failure.code, failure.rawMessage.split(":")[0]];
  };

  test("that the call's own connection shows needs no signature; another's does", async () => {
    await free("good");
    const id = idOfKey(api.stage.key("viewer")) ?? "";
    const overSecond = access({ certificate: "second", key: ADMIN_KEY });
    expect(await refusedField(overSecond.bindKeyCertificate({ id, certificate }))).toEqual([
      Code.InvalidArgument,
      "signature",
    ]);
    const { key } = await access({ certificate: "good", key: ADMIN_KEY }).bindKeyCertificate({ id, certificate });
    boundTo.set("good", id);
    expect(key?.certificateFingerprints).toEqual([printOf("good")]);
  });

  test.each(["stranger", "expired"])("that the authorities don't vouch for proves nothing: %s", async (name) => {
    const id = idOfKey(api.stage.key("viewer")) ?? "";
    const call = access({ certificate: name, key: ADMIN_KEY }).bindKeyCertificate({
      id,
      certificate: file(`clients/${name}.pem`),
    });
    const field = name === "expired" ? "certificate" : "signature";
    expect(await refusedField(call)).toEqual([Code.InvalidArgument, field]);
  });

  test("without a proof is refused with the words that say what would be right, and binds nothing", async () => {
    await free("good");
    const id = idOfKey(api.stage.key("viewer")) ?? "";
    const { code, rawMessage } = await failureOf(admin().bindKeyCertificate({ id, certificate }));
    expect([code, rawMessage]).toEqual([
      Code.InvalidArgument,
      expect.stringContaining(`"passbus:bind-key-certificate:v1:${id}:<unix seconds of signed_at>"`),
    ]);
    const elsewhere = { ...binding("key_of_another", "good"), id };
    expect(await refusedField(admin().bindKeyCertificate(elsewhere))).toEqual([Code.InvalidArgument, "signature"]);
    const { keys } = await admin().listKeys({});
    expect(keys.flatMap(({ certificateFingerprints }) => certificateFingerprints)).not.toContain(printOf("good"));
  });
});

test("npm's passkit-node-sdk connects with a certificate and nothing else", { timeout: 90_000 }, async () => {
  await bound("good", "subscriber");
  const channel = credentials.createSsl(file("cert.pem"), file("clients/key.pem"), file("clients/good.pem"));
  await using sdk = nodeSdk(`localhost:${api.port}`, undefined, channel);
  const configuration = JSON.stringify({ targetUrl: "https://receiver.example/hook" });
  const id = await sdk.create({ classId: "tour", protocol: 100, passEventId: [1], configType: 1, configuration });
  expect((await sdk.list({ classId: "tour" })).map((each) => each.id)).toEqual([id]);
  const mine = createClient(SubscriptionService, transport({ certificate: "good" }));
  expect((await mine.getSubscription({ id })).subscription?.entityId).toBe("tour");
  const anonymous = credentials.createSsl(file("cert.pem"));
  await using stranger = nodeSdk(`localhost:${api.port}`, undefined, anonymous);
  const refused = await stranger.list({}).catch((error: unknown) => error);
  expect([refused instanceof SdkError, refused]).toMatchObject([true, { code: 16 }]);
});
