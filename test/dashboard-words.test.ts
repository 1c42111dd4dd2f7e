import { describe, expect, it } from "vitest";
import { Format } from "../gen/passbus/v1/subscription_pb.js";
import { EVENT_TYPES, SAYABLE } from "../src/dashboard/words.ts";
import { EVENT_TYPES as KNOWN } from "../src/domain/event.ts";
import { formatOf } from "../src/formats/registry.ts";
import { formatName } from "../src/subscriptions/message.ts";

describe("what the dashboard says of the formats", () => {
  const formats = Object.values(Format).filter(
    (format): format is Format => typeof format === "number" && format !== 0,
  );

  it.each(formats)("is what the formats say themselves: %d", (format) => {
    const name = formatName(format);
    if (name === undefined) throw new Error("a format without a name");
    expect([...SAYABLE[format]].sort()).toEqual([...formatOf(name).types].sort());
  });

  it("knows every type of event", () => {
    expect([...EVENT_TYPES].sort()).toEqual([...KNOWN].sort());
  });
});
