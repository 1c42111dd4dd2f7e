/** PassKit's documented samples (seed 003), as files, byte for byte up to the white space that the page shows. */
import { describe, expect, it } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { passkit } from "../../src/formats/passkit.ts";
import { sampleEvent } from "../../src/formats/samples.ts";
import { decodedEvent, plainOptions } from "../support/events.ts";
import { passFromGo } from "../support/go-pass.ts";
import { compact, golden } from "../support/golden.ts";

const samples: readonly (readonly [name: string, type: PassEventType, method: string])[] = [
  ["created", PassEventType.CREATED, "POST"],
  ["installed", PassEventType.INSTALLED, "PUT"],
  ["updated", PassEventType.UPDATED, "PUT"],
  ["uninstalled", PassEventType.UNINSTALLED, "PUT"],
];

describe("PassKit's documented webhooks", () => {
  it.each(samples)("%s", (name, type, method) => {
    const expected = golden(`passkit/${name}.json`);
    const { pass } = JSON.parse(expected);
    const rendered = passkit.render(decodedEvent({ type, pass: passFromGo(pass) }), plainOptions);
    expect(rendered.body.toString()).toBe(expected);
    expect(rendered.method).toBe(method);
    expect(rendered.headers).toEqual({ "content-type": "application/json" });
  });

  it.each(samples)("%s, from the built-in sample", (name, type) => {
    const event = sampleEvent(type);
    if (event === undefined) throw new Error("no sample");
    expect(passkit.render(decodedEvent(event), plainOptions).body.toString()).toBe(golden(`passkit/${name}.json`));
  });
});

describe("compact", () => {
  it("leaves what is inside strings, escaped quotes too", () => {
    expect(compact('{ "a\\" b" :\n[1, "c \\\\" , 2]\t}')).toBe('{"a\\" b":[1,"c \\\\",2]}');
  });
});
