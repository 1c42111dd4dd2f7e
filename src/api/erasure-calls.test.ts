import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { ADMIN_KEY, TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import type { Role } from "../access/access-store.ts";
import type { ErasureTarget } from "../delivery/erasure.ts";
import type { Erased } from "../delivery/erasures.ts";

const asked: ErasureTarget[] = [];
const erased: Erased = { id: "ers_1", events: 2, deliveries: 3, deadLetters: 1, others: 4, isDone: false };

let api: TestApi;
beforeAll(async () => {
  const erase = async (target: ErasureTarget) => {
    asked.push(target);
    return erased;
  };
  api = await testApi({ erasures: { erase } });
});
afterAll(() => api.stop(0));

const as = (key: string) => ({
  access: createClient(AccessService, grpcWithKey(api.url, key)),
  events: createClient(EventService, grpcWithKey(api.url, key)),
});
const keyOf = (role: Role, organisation: string, environment = "production") =>
  api.stage.key(role, { organisation, environment });

test("a pass is erased in the caller's own tenant, and the answer says how much went", async () => {
  const { events } = as(keyOf("operator", "globex", "staging"));
  const answer = await events.erasePass({ passId: "pass-1" });
  expect(answer).toMatchObject({ id: "ers_1", events: 2n, deliveries: 3n, deadLetters: 1n, done: false });
  expect(asked.splice(0)).toEqual([
    { kind: "pass", tenant: { organisation: "globex", environment: "staging" }, passId: "pass-1" },
  ]);
  for (const passId of ["", "x".repeat(10_000)]) {
    const { code, rawMessage } = await failureOf(events.erasePass({ passId }));
    expect([code, rawMessage.startsWith("pass_id: ")]).toEqual([Code.InvalidArgument, true]);
  }
  expect(asked).toEqual([]);
});

test.each([
  ["admin", "globex", "globex", undefined],
  ["operator", "globex", "globex", Code.PermissionDenied],
  ["admin", "globex", "hooli", Code.PermissionDenied],
  ["admin", "globex", TENANT.organisation, Code.PermissionDenied],
  ["admin", TENANT.organisation, "globex", undefined],
  ["operator", TENANT.organisation, "globex", Code.PermissionDenied],
  ["subscriber", TENANT.organisation, "globex", Code.PermissionDenied],
  ["admin", TENANT.organisation, TENANT.organisation, Code.InvalidArgument],
] as const)("%s of %s deletes %s: %s", async (role, own, organisation, refusal) => {
  const call = as(keyOf(role, own)).access.deleteOrganisation({
    organisationId: organisation,
    confirmation: organisation,
  });
  if (refusal === undefined) expect(await call).toMatchObject({ deleted: 10n, done: false });
  else expect((await failureOf(call)).code).toBe(refusal);
  expect(asked.splice(0)).toEqual(refusal === undefined ? [{ kind: "organisation", organisation }] : []);
});

test.each(["globex", TENANT.organisation])("an admin of %s in another environment deletes nothing", async (own) => {
  const { access } = as(keyOf("admin", own, "staging"));
  const call = access.deleteOrganisation({ organisationId: "globex", confirmation: "globex" });
  expect((await failureOf(call)).code).toBe(Code.PermissionDenied);
  expect(asked).toEqual([]);
});

test.each([
  ["globex", ""],
  ["globex", "Globex"],
  ["", ""],
  ["a/b", "a/b"],
])("%j is not deleted with the confirmation %j", async (organisationId, confirmation) => {
  const call = as(ADMIN_KEY).access.deleteOrganisation({ organisationId, confirmation });
  expect((await failureOf(call)).code).toBe(Code.InvalidArgument);
  expect(asked).toEqual([]);
});
