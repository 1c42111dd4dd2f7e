import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AccessService, Role as WireRole } from "../../gen/passbus/v1/access_service_pb.js";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import type { Grant } from "../access/access-store.ts";
import { methodsFor, ROLES } from "../access/roles.ts";
import { systemClock } from "../kernel/clock.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

const callerOf = async (key: string) =>
  (await createClient(AccessService, grpcWithKey(api.url, key)).getCaller({})).caller;

const SET_LIMITS = "passbus.v1.AccessService/SetLimits";

describe("GetCaller", () => {
  it.each([...ROLES, "portal"] as const)(
    "answers who calls and what the table lets them call: %s",
    async (grant: Grant) => {
      const tenant = { organisation: "globex", environment: "production" };
      const key = grant === "portal" ? api.stage.session("shop", tenant) : api.stage.key(grant, tenant);
      const caller = await callerOf(key);
      expect(caller).toMatchObject({
        organisationId: "globex",
        environment: "production",
        role: grant === "portal" ? WireRole.UNSPECIFIED : ROLES.indexOf(grant) + 1,
        entityId: grant === "portal" ? "shop" : "",
        keyId: expect.stringMatching(grant === "portal" ? /^ses_/ : /^key_/),
        operatesService: false,
      });
      expect(caller?.methods).toEqual(methodsFor(grant, "production"));
      // No part of what only the key's holder knows.
      expect(JSON.stringify(caller?.keyId)).not.toContain(key.split("_").at(-1));
    },
  );

  it("knows when a portal session ends, and that a key without an end has none", async () => {
    const { expiresAt } = (await callerOf(api.stage.session("shop"))) ?? {};
    const leftMs = (expiresAt === undefined ? 0 : timestampMs(expiresAt)) - systemClock.now();
    expect(leftMs).toBeGreaterThan(3_500_000);
    expect(leftMs).toBeLessThanOrEqual(3_600_000);
    expect((await callerOf(api.stage.key("viewer")))?.expiresAt).toBeUndefined();
  });

  it("leaves out, of another environment, what is for production's keys, and calls only the bootstrap's its operator", async () => {
    const staging = await callerOf(api.stage.key("admin", { organisation: "globex", environment: "staging" }));
    expect(staging?.methods).not.toContain(SET_LIMITS);
    const bootstrap = await callerOf(ADMIN_KEY);
    expect(bootstrap).toMatchObject({ keyId: "bootstrap", operatesService: true });
    expect(bootstrap?.methods).toContain(SET_LIMITS);
    expect((await callerOf(api.stage.key("operator")))?.operatesService).toBe(false);
  });

  it("is for nobody without a key", async () => {
    expect((await failureOf(callerOf("pb_production_0_0"))).code).toBe(Code.Unauthenticated);
  });
});
