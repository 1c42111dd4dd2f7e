import { describe, expect, it } from "vitest";
import { wordsOf } from "./arrived-words.ts";

const sent = (body: unknown, headers: Record<string, string> = {}) =>
  wordsOf({ headers, body: new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body)) });

describe("what tells one arrived request from another", () => {
  it.each([
    ["Standard Webhooks, CloudEvents", { type: "pass.updated", data: {} }, "pass.updated"],
    ["PassKit", { event: "PASS_EVENT_INSTALLED", pass: {} }, "PASS_EVENT_INSTALLED"],
    ["PassEntry", { data: { type: "webhook", attributes: { webhookType: "passScanned" } } }, "passScanned"],
  ])("finds the type of %s", (_, body, type) => {
    expect(sent(body).type).toBe(type);
  });

  it("finds the type of binary CloudEvents in its header", () => {
    expect(sent("{}", { "ce-type": "pass.scanned" }).type).toBe("pass.scanned");
  });

  it.each(["", "<b>forged</b>", "null", "7", '"type"', '{"type":7}', '{"data":null}'])("says nothing of %j", (body) => {
    expect(sent(body)).toEqual({ type: "", webhookId: "", isTest: false, isReplay: false });
  });

  it("tells tests and replays, and cuts what is too long", () => {
    const words = sent({ type: "t".repeat(500) }, { "webhook-id": "dlv_1", "webhook-test": "true" });
    expect(words).toEqual({ type: `${"t".repeat(80)}…`, webhookId: "dlv_1", isTest: true, isReplay: false });
    expect(sent("", { "webhook-replay": "true" }).isReplay).toBe(true);
  });
});
