/** Calls whose body is held back until their key counts no more. */
import { once } from "node:events";
import { request } from "node:http";
import { expect, it } from "vitest";
import { testApi } from "../../test/support/api.ts";
import { bodyOf } from "../../test/support/receiver.ts";
import { type Clock, systemClock } from "../kernel/clock.ts";

/** Half a second is a moment of it. */
const hasty: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() * 100 };

it.each([
  ["goes on counting", 200],
  ["is revoked", 401],
])("a call whose key %s while its body comes: %i", async (what, status) => {
  await using api = await testApi({ clock: hasty });
  const key = api.stage.key("admin");
  const body = '{"key":{"role":"ROLE_ADMIN"}}';
  const call = request(`${api.url}/passbus.v1.AccessService/CreateKey`, {
    method: "POST",
    headers: { "content-type": "application/json", "content-length": body.length, authorization: `Bearer ${key}` },
  });
  call.write(body.slice(0, -1));
  await new Promise((resolve) => setTimeout(resolve, 100));
  if (what === "is revoked") api.stage.revoke(key);
  call.end(body.slice(-1));
  const [response] = await once(call, "response");
  const answer = (await bodyOf(response)).toString();
  expect([response.statusCode, answer.includes("pb_")], answer).toEqual([status, status === 200]);
});
