/** PassKit's payloads (seed 003) beside the documented ones, which are test/golden/passkit.test.ts. */
import { describe, expect, it } from "vitest";
import { ActionMethod } from "../../gen/io/integrations_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodedEvent, plainOptions } from "../../test/support/events.ts";
import { EVENT_TYPES } from "../domain/event.ts";
import type { FormatOptions } from "../domain/subscription.ts";
import { passkit } from "./passkit.ts";

function rendered(type: PassEventType, options: Partial<FormatOptions> = {}) {
  const event = decodedEvent({ type, pass: { id: "p1" } });
  const { method, body } = passkit.render(event, { ...plainOptions, ...options });
  return `${method} ${body}`;
}

describe("PASSKIT", () => {
  it("names each type and method as the vendor does", () => {
    expect(passkit.types.map((type) => rendered(type))).toEqual([
      'POST {"event":"PASS_EVENT_RECORD_CREATED","pass":{"id":"p1"}}',
      'PUT {"event":"PASS_EVENT_INSTALLED","pass":{"id":"p1"}}',
      'PUT {"event":"PASS_EVENT_RECORD_UPDATED","pass":{"id":"p1"}}',
      'PUT {"event":"PASS_EVENT_RECORD_UPDATED","pass":{"id":"p1"}}',
      'PUT {"event":"PASS_EVENT_INVALIDATED","pass":{"id":"p1"}}',
      'DELETE {"event":"PASS_EVENT_RECORD_DELETED","pass":{"id":"p1"}}',
    ]);
  });

  it("has every type but the scan, which it refuses", () => {
    expect(new Set(EVENT_TYPES).difference(new Set(passkit.types))).toEqual(new Set([PassEventType.SCANNED]));
    expect(() => rendered(PassEventType.SCANNED)).toThrow("PASSKIT cannot say SCANNED");
  });

  it("names the uninstall as the enum does where the subscription asks for it, and nothing else", () => {
    const options = { passkitUninstalledName: "enum" } as const;
    expect(rendered(PassEventType.UNINSTALLED, options)).toContain('"PASS_EVENT_UNINSTALLED"');
    expect(rendered(PassEventType.UPDATED, options)).toContain('"PASS_EVENT_RECORD_UPDATED"');
  });

  it("uses one method for all where the subscription asks for it", () => {
    for (const [passkitMethod, method] of [
      [ActionMethod.METHOD_POST, "POST"],
      [ActionMethod.METHOD_PUT, "PUT"],
      [ActionMethod.METHOD_DELETE, "DELETE"],
    ] as const) {
      expect(rendered(PassEventType.CREATED, { passkitMethod })).toMatch(method);
      expect(rendered(PassEventType.DELETED, { passkitMethod })).toMatch(method);
    }
  });

  it("has a key of its own for each way to render", () => {
    const keys = [
      plainOptions,
      { ...plainOptions, passkitUninstalledName: "enum" as const },
      { ...plainOptions, passkitMethod: ActionMethod.METHOD_POST },
    ].map((options) => passkit.renderKey(options));
    expect(new Set(keys).size).toBe(3);
    expect(passkit.renderKey({ ...plainOptions })).toBe(keys[0]);
  });

  it("hashes the body for the attempt's record", () => {
    const { bodySha256 } = passkit.render(decodedEvent({ type: PassEventType.CREATED }), plainOptions);
    // printf '{"event":"PASS_EVENT_RECORD_CREATED"}' | sha256sum
    expect(bodySha256).toBe("9132e93d7b3bd40938dc12457c3bfa9db6fafe08573667d277a6058bb917aa37");
  });
});
