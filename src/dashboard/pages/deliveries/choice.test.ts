import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { callForEach, callsText, cancellableOf } from "./choice.ts";

const { WAITING, HELD, ATTEMPTING, DELIVERED } = DeliveryStatus;

describe("what is done with chosen deliveries", () => {
  it("is a cancellation of those that wait or are held now, and of those that the log holds no longer", () => {
    const rows = [
      { id: "waits", status: WAITING },
      { id: "held", status: HELD },
      { id: "attempted", status: ATTEMPTING },
      { id: "delivered", status: DELIVERED },
      { id: "not-chosen", status: WAITING },
    ];
    const chosen = new Set(["delivered", "waits", "attempted", "held", "let-go"]);
    expect(cancellableOf(chosen, rows)).toEqual(["waits", "held", "let-go"]);
  });

  it("is called for each, and what was refused is told apart", async () => {
    const ids = ["a", "b", "c", "d", "e", "f"];
    const call = async (id: string) => {
      if (id === "c") throw new ConnectError("it has ended", Code.FailedPrecondition);
    };
    const { done, refused, left } = await callForEach(ids, call, new AbortController().signal);
    expect([...done].sort()).toEqual(["a", "b", "d", "e", "f"]);
    expect(refused).toEqual([{ id: "c", message: "it has ended" }]);
    expect(left).toBe(0);
  });

  it("is begun no further once it is asked to stop, and what is under way is waited for", async () => {
    const stop = new AbortController();
    const ids = Array.from({ length: 20 }, (_, at) => `dlv-${at}`);
    const begun: string[] = [];
    const call = async (id: string) => {
      begun.push(id);
      if (begun.length === 4) stop.abort();
      await Promise.resolve();
    };
    const made = await callForEach(ids, call, stop.signal);
    expect(made).toEqual({ done: begun, refused: [], left: 16 });
    expect(callsText("cancel", made)).toBe("Asked to cancel 4, and stopped before the other 16.");
    expect(callsText("retry", { ...made, left: 0 })).toBe("Asked to send 4.");
  });
});
