import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { DeadLetterSchema, EventService } from "../../../../gen/passbus/v1/event_service_pb.js";
import { obstacleOf, redriveAll, redrivenText } from "./redrive.ts";

type Letter = MessageInitShape<typeof DeadLetterSchema>;

const whole = (id: string): Letter => ({ id, valueBytes: 12 });

/** passbus with these pages of dead letters; notes what is sent. */
function passbusWith(pages: readonly (readonly Letter[])[], onRedrive = () => {}) {
  const batches: string[][] = [];
  const transport = createRouterTransport(({ service }) =>
    service(EventService, {
      listDeadLetters: ({ pageToken }) => ({
        deadLetters: [...(pages[Number(pageToken)] ?? [])],
        nextPageToken: Number(pageToken) + 1 < pages.length ? String(Number(pageToken) + 1) : "",
      }),
      redriveDeadLetters: ({ ids }) => {
        batches.push(ids);
        onRedrive();
        return { redriven: ids.length };
      },
    }),
  );
  return { events: createClient(EventService, transport), batches };
}

describe("sending dead letters again", () => {
  it.each([
    [{ truncated: false, valueBytes: 12 }, undefined],
    [{ truncated: true, valueBytes: 12 }, "It was cut: it can’t be sent again"],
    [{ truncated: false, valueBytes: 0 }, "It has no value: it can’t be sent again"],
  ])("knows of %j what stands in the way", (letter, obstacle) => {
    expect(obstacleOf(create(DeadLetterSchema, letter))).toBe(obstacle);
  });

  it("sends the oldest first, and leaves out what was sent before, was cut, or has no value", async () => {
    const { events, batches } = passbusWith([
      [whole("e"), { id: "tombstone", valueBytes: 0 }, whole("d")],
      [{ ...whole("cut"), truncated: true }, { ...whole("sent"), redrivenAt: timestampFromMs(1) }, whole("a")],
    ]);
    const sent: number[] = [];
    const asked = { reason: "", signal: new AbortController().signal, onSent: (all: number) => sent.push(all) };
    expect(await redriveAll(events, asked)).toEqual({ sent: 3, leftOut: 2, stopped: false });
    expect(batches).toEqual([["a", "d", "e"]]);
    expect(sent).toEqual([3]);
  });

  it("stops between two calls, and says how many were sent until then", async () => {
    const stop = new AbortController();
    const letters = Array.from({ length: 1_200 }, (_, at) => whole(`dl-${at}`));
    const { events, batches } = passbusWith([letters], () => stop.abort());
    const outcome = await redriveAll(events, { reason: "", signal: stop.signal, onSent: () => {} });
    expect(outcome).toEqual({ sent: 500, leftOut: 0, stopped: true });
    expect(batches).toHaveLength(1);
  });

  it.each([
    [{ sent: 3, leftOut: 0, stopped: false }, "All were sent again."],
    [{ sent: 1_200, leftOut: 2, stopped: false }, "Sent again: 1,200. Left out, cut or without a value: 2."],
    [{ sent: 500, leftOut: 0, stopped: true }, "Stopped. Sent again: 500."],
  ])("tells %j in words", (outcome, text) => {
    expect(redrivenText(outcome)).toBe(text);
  });
});
