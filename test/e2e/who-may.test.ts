/** Who may, as it is set up: certificates, an issuer's tokens and rates of a whole passbus, from its settings. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { AccessService, Role } from "../../gen/passbus/v1/access_service_pb.js";
import { systemClock } from "../../src/kernel/clock.ts";
import { failureOf } from "../support/grpc.ts";
import { issuerKey, TestIssuer } from "../support/issuer.ts";
import { BOOTSTRAP_KEY, DataDirectory, ServeProcess } from "../support/passbus.ts";
import { eventually } from "../support/within.ts";

const path = (name: string) => join(import.meta.dirname, "..", "support", "tls", name);
const CLIENT = { cert: readFileSync(path("clients/good.pem")), key: readFileSync(path("clients/key.pem")) };

test("a passbus takes certificates and tokens as its settings say, and no more calls than they allow", async () => {
  await using issuer = await TestIssuer.start();
  const key = await issuerKey("EdDSA", "one");
  issuer.published.push(key.jwk);
  using data = new DataDirectory();
  await using serve = new ServeProcess(data.path, {
    PASSBUS_TLS_CERT_FILE: path("cert.pem"),
    PASSBUS_TLS_KEY_FILE: path("key.pem"),
    PASSBUS_TLS_CLIENT_CA: path("clients/authority.pem"),
    PASSBUS_JWT_ISSUER: issuer.url,
    PASSBUS_JWT_AUDIENCE: "passbus",
    PASSBUS_CALLS_PER_SECOND: "1",
  });
  const url = await eventually(60_000, "its start", () => /"url":"(https:[^"]+)"/.exec(serve.output)?.[1]);
  using ended = new DisposableStack();
  const access = (token: string | undefined, client: object = {}) => {
    const sessionManager = new Http2SessionManager(url, {}, { ca: readFileSync(path("cert.pem")), ...client });
    ended.defer(() => sessionManager.abort());
    return createClient(
      AccessService,
      createGrpcTransport({
        baseUrl: url,
        sessionManager,
        interceptors: [
          (next) => (request) => {
            if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
            return next(request);
          },
        ],
      }),
    );
  };
  const claims = { aud: "passbus", sub: "ci", organisation: "default", role: "admin" };
  const administrator = access(await issuer.sign(key, claims, systemClock.now()));
  const created = await administrator.createKey({ key: { role: Role.VIEWER } });
  const bootstrap = access(BOOTSTRAP_KEY);
  // The connection that shows it is proof enough that it is ours.
  const shown = access(BOOTSTRAP_KEY, CLIENT);
  await shown.bindKeyCertificate({ id: created.key?.id ?? "", certificate: CLIENT.cert });
  expect((await access(undefined, CLIENT).getLimits({})).limits).toMatchObject({ callsPerSecond: 1 });
  expect((await failureOf(access(undefined).getLimits({}))).code).toBe(Code.Unauthenticated);
  const other = access(await issuer.sign(key, { ...claims, aud: "other" }, systemClock.now()));
  expect((await failureOf(other.getLimits({}))).code).toBe(Code.Unauthenticated);
  const calls = await Promise.allSettled(Array.from({ length: 60 }, () => bootstrap.getLimits({})));
  const refusals = calls.filter(({ status }) => status === "rejected");
  // One a second: only a machine that needs a minute for them would let all of them in.
  expect(refusals.length).toBeGreaterThan(0);
  expect(serve.output).toContain('"reason":"claim aud: check_failed"');
  for (const secret of [created.secret, BOOTSTRAP_KEY, "ci"]) expect(serve.output).not.toContain(`"${secret}"`);
}, 120_000);
