import { PassThrough } from "node:stream";
import { finished } from "node:stream/promises";
import { Code } from "@connectrpc/connect";
import { expect, it } from "vitest";
import { outgoingError } from "./errors.ts";

it("a caller who went away in the midst of a request is nobody's fault; what broke in it is passbus's own", async () => {
  const reported: unknown[] = [];
  const body = new PassThrough();
  const cut = finished(body).catch((error: unknown) => error);
  body.destroy();
  expect(outgoingError(await cut, (cause) => reported.push(cause)).code).toBe(Code.Canceled);
  expect(reported).toEqual([]);
  const mistake = new TypeError("x is undefined");
  expect(outgoingError(mistake, (cause) => reported.push(cause)).code).toBe(Code.Internal);
  expect(reported).toEqual([mistake]);
});
