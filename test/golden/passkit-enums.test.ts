/** The enums that PassKit documents (seed 003), as a file, letter for letter: each name has its number here too. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DescEnum } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  DeviceAttributesSchema,
  LifecycleEventsSchema,
  PassProtocolSchema,
  StatusSchema,
} from "../../gen/io/pass_pb.js";

const text = readFileSync(join(import.meta.dirname, "passkit/enums.txt"), "utf8");

/** Name and number of each value between the enum's braces. */
function documented(name: string): readonly (readonly [string, number])[] {
  const [, body = ""] = new RegExp(`^enum ${name} \\{\\n(.*?)^\\}$`, "ms").exec(text) ?? [];
  return [...body.matchAll(/^(\w+) = (\w+);$/gm)].map(([, value = "", number = ""]) => [value, Number(number)]);
}

describe("PassKit's documented enums", () => {
  it.each<[string, DescEnum, number]>([
    ["PassProtocol", PassProtocolSchema, 4],
    ["Status", StatusSchema, 4],
    ["LifecycleEvents", LifecycleEventsSchema, 12],
    ["DeviceAttributes", DeviceAttributesSchema, 14],
  ])("%s", (name, schema, count) => {
    const values = documented(name);
    expect(values).toHaveLength(count);
    expect(values.map(([value]) => [value, schema.values.find((each) => each.name === value)?.number])).toEqual(values);
  });
});
