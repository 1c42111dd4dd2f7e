import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, get, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dashboardFiles, type ServeDashboard } from "./dashboard-files.ts";

const PAGE = "<!doctype html><title>the page</title>";
const SCRIPT = "console.log(1);";

let directory: string;
const stops: (() => void)[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-dashboard-"));
  mkdirSync(join(directory, "assets"));
  writeFileSync(join(directory, "index.html"), PAGE);
  writeFileSync(join(directory, "assets", "main-abc.js"), SCRIPT);
  writeFileSync(join(directory, "assets", "main-abc.js.gz"), gzipSync(SCRIPT));
  writeFileSync(join(directory, "assets", "notes.txt"), "not served");
});
afterAll(() => {
  for (const stop of stops) stop();
  rmSync(directory, { recursive: true, force: true });
});

/** A server of the files alone; what they leave is answered with 418. */
async function served(dashboard: ServeDashboard): Promise<string> {
  const server = createServer((request, response) => {
    if (!dashboard(request, response)) response.writeHead(418).end();
  });
  stops.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** What `fetch` would unpack. */
function rawGet(
  url: string,
  encoding: string,
): Promise<{ readonly headers: IncomingHttpHeaders; readonly body: Buffer }> {
  return new Promise((resolve, reject) => {
    const request = get(url, { headers: { "accept-encoding": encoding } }, (response) => {
      buffer(response).then((body) => resolve({ headers: response.headers, body }), reject);
    });
    request.on("error", reject);
  });
}

const HTML = { accept: "text/html,application/xhtml+xml" };

describe("the dashboard's files", () => {
  it("answers / and each page's own address with the page, which is asked for anew each time", async () => {
    const url = await served(dashboardFiles(directory));
    for (const [path, headers] of [
      ["/", {}],
      ["/deliveries/dlv_1?status=5", HTML],
      // Ids of other people's making.
      ["/passes/com.acme.gold-1", HTML],
      ["/events/evt.1", HTML],
    ] as const) {
      const response = await fetch(`${url}${path}`, { headers });
      expect(response.status, path).toBe(200);
      expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
      expect(response.headers.get("cache-control")).toBe("no-cache");
      expect(await response.text()).toBe(PAGE);
    }
  });

  it("leaves to others what is no page: calls, probes, other methods, files that were not built", async () => {
    const url = await served(dashboardFiles(directory));
    const asked: readonly (readonly [path: string, init: RequestInit])[] = [
      ["/passbus.v1.EventService/GetEvent", { headers: HTML }],
      ["/assets/gone.js", { headers: HTML }],
      ["/events/evt.1/gone.js", { headers: HTML }],
      ["/events/evt.1", {}],
      ["/assets/notes.txt", { headers: HTML }],
      ["/%2e%2e/package.json", { headers: HTML }],
      ["/metrics", {}],
      ["/", { method: "POST" }],
    ];
    for (const [path, init] of asked) expect((await fetch(`${url}${path}`, init)).status, path).toBe(418);
  });

  it("sends a script for ever, packed as the browser takes it", async () => {
    const url = await served(dashboardFiles(directory));
    const packed = await rawGet(`${url}/assets/main-abc.js`, "br, gzip");
    expect(packed.headers["content-encoding"]).toBe("gzip");
    expect(gunzipSync(packed.body).toString()).toBe(SCRIPT);
    expect(packed.headers["cache-control"]).toBe("public, max-age=31536000, immutable");
    expect(packed.headers.vary).toBe("accept-encoding");
    for (const encoding of ["identity", "gzip;q=0", "gzip; q=0.0"]) {
      const plain = await rawGet(`${url}/assets/main-abc.js`, encoding);
      expect(plain.headers["content-encoding"], encoding).toBeUndefined();
      expect(plain.body.toString()).toBe(SCRIPT);
    }
  });

  it("says how to build it where nothing was built", async () => {
    const url = await served(dashboardFiles(join(directory, "nowhere")));
    const response = await fetch(url);
    expect(response.status).toBe(200);
    expect(await response.text()).toContain("npm run build:dashboard");
  });
});
