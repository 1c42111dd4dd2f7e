import { describe, expect, test } from "vitest";
import { ClaimTurns, sharesOf } from "./claim-shares.ts";

const queue = (organisation: string, lane: string, free = 100, taken = 0) => ({ organisation, lane, free, taken });

describe("the shares of a round", () => {
  test.each([
    ["one alone", [queue("a", "1")], 10, [10]],
    ["lanes of one organisation", [queue("a", "1"), queue("a", "2"), queue("a", "3")], 10, [4, 4, 2]],
    ["many lanes beside one", [queue("a", "1"), queue("a", "2"), queue("a", "3"), queue("b", "4")], 12, [2, 2, 2, 6]],
    ["no more than is free", [queue("a", "1", 2), queue("b", "2", 1), queue("c", "3")], 30, [2, 1, 10]],
    ["more organisations than there is to share", [queue("a", "1"), queue("b", "2"), queue("c", "3")], 2, [1, 1, 0]],
    ["what was taken counts", [queue("a", "1", 9, 7), queue("a", "2", 9, 6), queue("b", "3", 9, 2)], 13, [0, 1, 9]],
    ["and levels what an odd number left", [queue("a", "1", 9, 7), queue("a", "2", 9, 6)], 5, [2, 3]],
    ["nothing to share", [queue("a", "1")], 0, [0]],
    ["nobody", [], 5, []],
  ])("%s", (_what, open, limit, shares) => {
    expect(sharesOf(open, limit)).toEqual(shares);
  });
});

describe("turns", () => {
  const names = (queues: readonly { readonly lane: string }[]) => queues.map(({ lane }) => lane).join("");

  test("organisations take turns, and each one's lanes take theirs", () => {
    const turns = new ClaimTurns();
    const queues = [queue("b", "x"), queue("a", "q"), queue("a", "p"), queue("b", "y"), queue("a", "r")];
    expect(names(turns.inTurn(queues))).toBe("pqrxy");
    turns.served(queue("a", "p"));
    expect(names(turns.inTurn(queues))).toBe("xyqrp");
    turns.served(queue("b", "x"));
    expect(names(turns.inTurn(queues))).toBe("qrpyx");
    turns.served(queue("a", "r"));
    expect(names(turns.inTurn(queues))).toBe("yxpqr");
  });

  test("with a place for each organisation alone, every lane has its turn in as many claims as there are lanes", () => {
    const turns = new ClaimTurns();
    const queues = [...Array.from({ length: 10 }, (_, at) => queue("a", `a${at}`)), queue("b", "b")];
    const served = new Set<string>();
    for (let claim = 0; claim < 10; claim++) {
      const inTurn = turns.inTurn(queues);
      sharesOf(inTurn, 2).forEach((want, at) => {
        const one = inTurn[at];
        if (want === 0 || one === undefined) return;
        turns.served(one);
        served.add(one.lane);
      });
    }
    expect(served.size).toBe(11);
  });

  test("where there are more than a claim looks at, each organisation has as many of them, and the rest come next", () => {
    const turns = new ClaimTurns();
    const queues = [..."pqrst"].map((lane) => queue("a", lane)).concat(queue("b", "x"), queue("c", "y"));
    expect(names(turns.inTurn(queues, 4))).toBe("pqxy");
    for (const lane of "pq") turns.served(queue("a", lane));
    expect(names(turns.inTurn(queues, 4))).toBe("xyrs");
    expect(names(turns.inTurn(queues, 7))).toBe("xyrstpq");
  });

  test("begin where they are told to, and elsewhere after a jump", () => {
    const queues = [..."pqrs"].map((lane) => queue("a", lane));
    const turns = new ClaimTurns(0.5);
    expect(names(turns.inTurn(queues))).toBe("rspq");
    turns.served(queue("a", "r"));
    turns.jump(0.25);
    expect(names(turns.inTurn(queues))).toBe("qrsp");
  });
});
