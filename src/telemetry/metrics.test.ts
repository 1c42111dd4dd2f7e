import { describe, expect, test } from "vitest";
import { Durations, metricsText, timed } from "./metrics.ts";
import { openMetricsPort } from "./metrics-port.ts";

describe("the text of metrics", () => {
  test("has each with its help and kind, its labels escaped, and leaves out what isn't known", () => {
    const text = metricsText(
      [
        { name: "a_total", help: "How many.", kind: "counter", samples: 3 },
        { name: "unknown", help: "Nobody knows.", kind: "gauge", samples: undefined },
        { name: "b", help: "By name.", kind: "gauge", samples: [{ labels: { name: 'x"\\\n' }, value: 0.5 }] },
      ],
      [],
    );
    expect(text).toBe(
      '# HELP a_total How many.\n# TYPE a_total counter\na_total 3\n# HELP b By name.\n# TYPE b gauge\nb{name="x\\"\\\\\\n"} 0.5\n',
    );
  });

  test("counts a duration in every bucket that it fits, in seconds", () => {
    const durations = new Durations("d_seconds", "How long.");
    for (const ms of [0.5, 3, 3, 60_000]) durations.note(ms);
    const lines = durations.text().split("\n");
    expect(lines.slice(0, 5)).toEqual([
      "# HELP d_seconds How long.",
      "# TYPE d_seconds histogram",
      'd_seconds_bucket{le="0.001"} 1',
      'd_seconds_bucket{le="0.0025"} 1',
      'd_seconds_bucket{le="0.005"} 3',
    ]);
    expect(lines.slice(-5)).toEqual([
      'd_seconds_bucket{le="10"} 3',
      'd_seconds_bucket{le="+Inf"} 4',
      "d_seconds_sum 60.0065",
      "d_seconds_count 4",
      "",
    ]);
  });
});

class Store {
  readonly #name = "private";
  async flush(text: string) {
    return `${this.#name} ${text}`;
  }
  async fail() {
    throw new Error("down");
  }
  async other() {
    return this.#name;
  }
}

describe("timed calls", () => {
  test("answer as before, and are told, also those that fail", async () => {
    let nowMs = 0;
    const told: number[] = [];
    const clock = () => (nowMs += 5);
    const store = timed(new Store(), { flush: (ms) => told.push(ms), fail: (ms) => told.push(ms) }, clock);
    expect(await store.flush("x")).toBe("private x");
    await expect(store.fail()).rejects.toThrow("down");
    expect(await store.other()).toBe("private");
    expect(told).toEqual([5, 5]);
  });
});

describe("the port of metrics", () => {
  test("answers /metrics and nothing else, and 503 where they can't be read", async () => {
    let isBroken = false;
    const port = await openMetricsPort({ host: "127.0.0.1", port: 0 }, async () => {
      if (isBroken) throw new Error("gone");
      return "a 1\n";
    });
    try {
      const read = await fetch(`${port.url}/metrics`);
      expect([read.status, await read.text()]).toEqual([200, "a 1\n"]);
      expect(read.headers.get("content-type")).toContain("version=0.0.4");
      expect((await fetch(`${port.url}/metrics`, { method: "POST" })).status).toBe(405);
      expect((await fetch(`${port.url}/`)).status).toBe(404);
      isBroken = true;
      expect((await fetch(`${port.url}/metrics`)).status).toBe(503);
    } finally {
      await port.stop();
    }
  });
});
