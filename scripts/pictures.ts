/**
 * `npm run pictures [name …]`: the pictures of the dashboard in docs/, taken of `passbus demo` once it has run for a while.
 * As WebP of 60 KB at most each; one that is larger ends the command with 1.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "playwright-core";
import { launchChromium, NARROW, Visit } from "../test/support/browser.ts";
import { eventually } from "../test/support/within.ts";
import { buildIfStale } from "./dashboard.ts";

const ROOT = join(import.meta.dirname, "..");
const LIMIT_BYTES = 60_000;
const QUALITY = 0.6;
/** Until the charts have something to show. */
const ALIVE_MS = 90_000;
const START_LIMIT_MS = 30_000;
const FRAME = { width: 1_180, height: 740 };

interface Picture {
  readonly name: string;
  readonly path: string;
  readonly theme?: "dark";
  readonly viewport?: typeof FRAME;
  /** What is done on the page before it is taken. */
  readonly first: (page: Page) => Promise<void>;
}

const firstLink = (name: RegExp) => async (page: Page) => {
  await page.getByRole("link", { name }).first().waitFor();
};

const PICTURES: readonly Picture[] = [
  { name: "overview", path: "/", first: drawn },
  { name: "dark", path: "/", theme: "dark", first: drawn },
  { name: "deliveries", path: "/deliveries", first: firstLink(/^dlv_/) },
  { name: "narrow", path: "/deliveries", viewport: NARROW, first: firstLink(/^dlv_/) },
  { name: "events", path: "/events", first: firstLink(/./) },
  {
    name: "pass",
    path: "/events?type=installed",
    first: async (page) => {
      await page.locator(".log-row a[href^='/passes/']").first().click();
      await page.getByRole("list", { name: /story/ }).waitFor();
    },
  },
  {
    name: "subscription",
    path: "/subscriptions",
    first: async (page) => {
      await page.getByRole("table").getByRole("link").first().click();
      // What stands above is as high as it will be.
      await drawn(page);
      await page.getByRole("button", { name: "Send it now" }).click();
      await page.getByText(/It answered/).waitFor();
      await page.getByRole("heading", { name: "Send a test" }).evaluate("(it) => it.scrollIntoView()");
    },
  },
  {
    name: "inspector",
    path: "/inspector",
    first: async (page) => {
      await page.getByRole("link", { name: /bin_/ }).first().click();
      await page.getByText("signature valid").first().waitFor();
      await page.getByRole("heading", { name: "What arrived" }).evaluate("(it) => it.scrollIntoView()");
    },
  },
];

async function drawn(page: Page): Promise<void> {
  await page.locator("canvas").first().waitFor();
}

/** Where it listens, and its key, as it prints them. */
async function startDemo(): Promise<{ readonly child: ChildProcess; readonly url: string; readonly key: string }> {
  const main = join(ROOT, "src", "main.ts");
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main, "demo"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => {
    // The table goes on and on; what is looked for comes first.
    if (said.length < 10_000) said += chunk.toString("utf8");
  });
  const [url, key] = await eventually(START_LIMIT_MS, "the demo's address and key", () => {
    const [, address = "", text = ""] =
      /dashboard: open (http:\S+)\/ and sign in with the key (\S+)\n/.exec(said) ?? [];
    return text === "" ? undefined : [address, text];
  });
  return { child, url: url ?? "", key: key ?? "" };
}

/** Chromium takes PNG; its canvas writes WebP, a fifth of the size. */
async function webpOf(browser: Browser, png: Buffer): Promise<Buffer> {
  const page = await browser.newPage();
  const base64 = (await page.evaluate(`(async () => {
    const picture = await createImageBitmap(await (await fetch("data:image/png;base64,${png.toString("base64")}")).blob());
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    canvas.getContext("2d").drawImage(picture, 0, 0);
    const webp = await canvas.convertToBlob({ type: "image/webp", quality: ${QUALITY} });
    return btoa(String.fromCharCode(...new Uint8Array(await webp.arrayBuffer())));
  })()`)) as string;
  await page.close();
  return Buffer.from(base64, "base64");
}

async function take(browser: Browser, at: { readonly url: string; readonly key: string }, picture: Picture) {
  const { path, theme = "light", viewport = FRAME, first, name } = picture;
  const context = await browser.newContext({ viewport, colorScheme: theme });
  await using visit = new Visit(context, await context.newPage(), at.url);
  await visit.page.goto(`${at.url}${path}`);
  await visit.signIn(at.key);
  await visit.settled();
  await first(visit.page);
  await visit.settled();
  const webp = await webpOf(browser, await visit.page.screenshot());
  await writeFile(join(ROOT, "docs", `dashboard-${name}.webp`), webp);
  process.stdout.write(`docs/dashboard-${name}.webp: ${webp.length} bytes\n`);
  if (webp.length > LIMIT_BYTES) process.exitCode = 1;
}

await buildIfStale();
const demo = await startDemo();
const chromium = await launchChromium();
try {
  await sleep(ALIVE_MS);
  const names = process.argv.slice(2);
  const wanted = PICTURES.filter(({ name }) => names.length === 0 || names.includes(name));
  for (const picture of wanted) await take(chromium, demo, picture);
} finally {
  await chromium.close();
  demo.child.kill("SIGINT");
}
