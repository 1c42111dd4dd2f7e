/** What Go's encoding/json itself wrote (go/main.go), against ours: PassKit's payloads (seed 003) are written by it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { goObject, goString, mapMember, numberMember, timestampMember } from "../../src/formats/go-json.ts";
import { passkit } from "../../src/formats/passkit.ts";
import { decodedEvent, plainOptions } from "../support/events.ts";
import { passFromGo } from "../support/go-pass.ts";

interface MapVector {
  readonly keys: readonly (readonly number[])[];
  readonly output: string;
}

interface Vectors {
  readonly strings: readonly { readonly input: readonly number[]; readonly output: string }[];
  readonly numbers: readonly { readonly bits: string; readonly output: string }[];
  readonly maps: readonly MapVector[];
  readonly numberMaps: readonly MapVector[];
  readonly timestamps: readonly {
    readonly seconds: string;
    readonly nanos: number;
    readonly output: string;
  }[];
  readonly payloads: readonly string[];
}

const file = join(import.meta.dirname, "go/vectors.json");
const vectors = JSON.parse(readFileSync(file, "utf8")) as Vectors;

const text = (points: readonly number[]) => String.fromCodePoint(...points);

describe("JSON as Go writes it", () => {
  it("strings", () => {
    expect(vectors.strings.length).toBeGreaterThan(256);
    expect(vectors.strings.map(({ input }) => goString(text(input)))).toEqual(
      vectors.strings.map(({ output }) => output),
    );
  });

  it("numbers", () => {
    expect(vectors.numbers.length).toBe(300);
    const ours = vectors.numbers.map(({ bits }) => {
      const value = Buffer.from(bits, "hex").readDoubleBE();
      return goObject(numberMember("n", value));
    });
    expect(ours).toEqual(vectors.numbers.map(({ output }) => output));
  });

  it.each([...vectors.maps, ...vectors.numberMaps])("maps: $output", ({ keys, output }) => {
    const map = Object.fromEntries(keys.map((key) => [text(key), "v"]));
    expect(goObject(mapMember("m", map))).toBe(output);
  });

  it.each(vectors.timestamps)("timestamps: $output", ({ seconds, nanos, output }) => {
    const time = create(TimestampSchema, { seconds: BigInt(seconds), nanos });
    expect(goObject(timestampMember("t", time))).toBe(output);
  });

  it.each(vectors.payloads)("payloads: %s", (output) => {
    const { pass } = JSON.parse(output);
    const event = decodedEvent({ type: PassEventType.CREATED, pass: passFromGo(pass) });
    expect(passkit.render(event, plainOptions).body.toString()).toBe(output);
  });
});
