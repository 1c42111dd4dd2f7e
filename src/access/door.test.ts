import { describe, expect, test } from "vitest";
import { settled } from "../../test/support/settled.ts";
import { CodedError } from "../kernel/errors.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import type { Refusal } from "./audit.ts";
import type { Judgement } from "./authenticate.ts";
import { door } from "./door.ts";
import { FailedAttempts } from "./failed-attempts.ts";

const tenant = { organisation: "acme", environment: "production" };
const good = { principal: { tenant, role: "viewer", keyId: "key_1" } } as const;
const bad = { refused: { code: "auth.invalid", message: "unknown", namedId: "key_1", tenant } } as const;
const nobody = { refused: { code: "auth.invalid", message: "unknown", namedId: "key_9" } } as const;
const bare = { refused: { code: "auth.invalid", message: "no key at all" } } as const;
const missing = { refused: { code: "auth.missing", message: "needs a key" } } as const;

/** What is judged is the header's text, by name. */
const JUDGED: Readonly<Record<string, Judgement>> = { good, bad, nobody, bare, missing };

function setUp() {
  const clock = new ManualClock();
  const used: string[] = [];
  const refusals: Refusal[] = [];
  const authenticate = door({
    judge: async (authorization) => JUDGED[authorization ?? ""] ?? missing,
    attempts: new FailedAttempts(clock),
    uses: { note: (id) => void used.push(id) },
    audit: { refused: (refusal) => void refusals.push(refusal) },
    clock,
  });
  /** The code of what comes at once; undefined where the answer is held back. */
  const tried = async (text: string, peer: string) => {
    let code: string | undefined;
    void authenticate(text, peer).then(
      () => {
        code = "in";
      },
      (error: unknown) => {
        code = error instanceof CodedError ? `${error.code} ${error.retryAfterMs ?? ""}`.trim() : String(error);
      },
    );
    await settled(3);
    return { code: () => code };
  };
  return { clock, used, refusals, authenticate, tried };
}

describe("the door", () => {
  test("lets in who has a key that counts, and notes its use", async () => {
    const { authenticate, used, refusals } = setUp();
    expect(await authenticate("good", "192.0.2.1")).toBe(good.principal);
    expect([used, refusals]).toEqual([["key_1"], []]);
  });

  test("refuses the others, and says in the audit log whose key it was, if anybody's", async () => {
    const { tried, refusals, used } = setUp();
    for (const text of ["bad", "nobody", "missing"]) await tried(text, "192.0.2.1");
    expect(refusals).toEqual([
      { tenant, actor: "key_1", peer: "192.0.2.1", code: "auth.invalid" },
      { tenant: undefined, actor: undefined, peer: "192.0.2.1", code: "auth.invalid" },
      { tenant: undefined, actor: undefined, peer: "192.0.2.1", code: "auth.missing" },
    ]);
    expect(used).toEqual([]);
  });

  test("answers who goes on later and later, then not at all, and takes a good key from the same address", async () => {
    const { tried, refusals, clock } = setUp();
    const peer = "192.0.2.1";
    for (let times = 0; times < 10; times++) expect((await tried("nobody", peer)).code()).toBe("auth.invalid");
    const held = await tried("nobody", peer);
    expect(held.code()).toBeUndefined();
    clock.advance(50);
    await settled(3);
    expect(held.code()).toBe("auth.invalid");
    for (let times = 0; times < 20; times++) await tried("nobody", peer);
    expect((await tried("nobody", peer)).code()).toMatch(/^limit\.authentication \d+$/);
    expect(refusals.at(-1)?.code).toBe("limit.authentication");
    expect((await tried("good", peer)).code()).toBe("in");
    expect((await tried("missing", peer)).code()).toBe("auth.missing");
    expect((await tried("bare", "192.0.2.9")).code()).toBe("auth.invalid");
  });

  test("slows down who tries one key from many addresses, and nobody who has it", async () => {
    const { tried } = setUp();
    for (let host = 0; host < 31; host++) await tried("bad", `192.0.2.${host}`);
    expect((await tried("bad", "198.51.100.1")).code()).toMatch(/^limit\.authentication/);
    expect((await tried("good", "198.51.100.1")).code()).toBe("in");
  });

  test("holds back so many answers and no more", async () => {
    const { tried } = setUp();
    const answers: { readonly code: () => string | undefined }[] = [];
    for (let host = 0; host < 30; host++) {
      for (let times = 0; times < 20; times++) answers.push(await tried("bare", `10.1.0.${host}`));
    }
    expect(answers.filter(({ code }) => code() === undefined)).toHaveLength(256);
    expect(answers.filter(({ code }) => code() === "limit.authentication 1000")).toHaveLength(30 * 10 - 256);
  });
});
