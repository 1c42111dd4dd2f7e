/** Debian's Chromium on a dashboard that a running passbus serves, and what every page must keep to. */
import { readFileSync } from "node:fs";
import axe from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { buildIfStale } from "../../scripts/dashboard.ts";
import { BOOTSTRAP_KEY, DataDirectory, RunningPassbus } from "./passbus.ts";
import { onPath, requirement } from "./requirements.ts";

export const browser = requirement("browser", () => onPath("chromium"));

/** For whatever the page does: a machine may be busy with other things. */
export const PAGE_LIMIT_MS = 30_000;

/** What WCAG 2.2 AA asks for and axe can check, with its best practices. */
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export const WIDE = { width: 1_280, height: 860 };
/** Where the navigation still stands at the side. */
const BETWEEN = { width: 820, height: 860 };
export const NARROW = { width: 390, height: 844 };

/** The one on the PATH, without a window and without calls of its own. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath(),
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
    ],
  });
}

/** A passbus, and a browser to look at it. */
export class Stage implements AsyncDisposable {
  readonly passbus: RunningPassbus;
  readonly #browser: Browser;
  readonly #directory: DataDirectory;

  private constructor(passbus: RunningPassbus, browserProcess: Browser, directory: DataDirectory) {
    this.passbus = passbus;
    this.#browser = browserProcess;
    this.#directory = directory;
  }

  /** Builds the dashboard where it is missing or older than its sources. */
  static async open(settings: Readonly<Record<string, string>> = {}): Promise<Stage> {
    await buildIfStale();
    const directory = new DataDirectory();
    const [passbus, launched] = await Promise.all([RunningPassbus.start(directory.path, settings), launchChromium()]);
    return new Stage(passbus, launched, directory);
  }

  /** Of the bootstrap administrator. */
  get key(): string {
    return BOOTSTRAP_KEY;
  }

  /** A tab of its own with nothing remembered, not signed in. */
  async visit(path: string, look: Look = {}): Promise<Visit> {
    const { theme = "light", viewport = WIDE } = look;
    const context = await this.#browser.newContext({ viewport, colorScheme: theme });
    context.setDefaultTimeout(PAGE_LIMIT_MS);
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const visit = new Visit(context, await context.newPage(), this.passbus.url);
    await visit.page.goto(`${this.passbus.url}${path}`);
    return visit;
  }

  /** The same, signed in as the bootstrap administrator or with another key. */
  async signedIn(path: string, look: Look & { readonly key?: string } = {}): Promise<Visit> {
    const visit = await this.visit(path, look);
    await visit.signIn(look.key ?? BOOTSTRAP_KEY);
    return visit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
    await this.passbus[Symbol.asyncDispose]();
    this.#directory[Symbol.dispose]();
  }
}

interface Look {
  readonly theme?: "light" | "dark";
  readonly viewport?: { readonly width: number; readonly height: number };
}

/** One tab. Ends with an error if the page wrote one to its console, or threw one. */
export class Visit implements AsyncDisposable {
  readonly page: Page;
  readonly #context: BrowserContext;
  readonly #url: string;
  readonly #complaints: string[] = [];
  #mayFail: RegExp | undefined;

  constructor(context: BrowserContext, page: Page, url: string) {
    this.#context = context;
    this.page = page;
    this.#url = url;
    page.on("console", (message) => {
      const isComplaint = message.type() === "error" || message.type() === "warning";
      // Said by a React for development, which is slow and large.
      if (isComplaint || message.text().includes("React DevTools")) this.#complain(message.text());
    });
    page.on("pageerror", (error) => this.#complain(error.message));
  }

  #complain(text: string): void {
    if (this.#mayFail?.test(text) !== true) this.#complaints.push(text);
  }

  /** A test that makes calls fail: Chromium writes each answer of 4xx and 5xx to the console. */
  expectFailedCalls(pattern = /Failed to load resource/): void {
    this.#mayFail = pattern;
  }

  async signIn(key: string): Promise<void> {
    await this.page.getByLabel("Key", { exact: true }).fill(key);
    await this.page.getByRole("button", { name: "Sign in" }).click();
    await this.page.getByRole("navigation", { name: "Pages" }).waitFor();
  }

  /** To another page without a reload, which would sign out. */
  async open(path: string): Promise<void> {
    await this.page.evaluate(`history.pushState(null, "", ${JSON.stringify(path)})`);
  }

  /** Nothing on the page says that it is loading any more. */
  async settled(): Promise<void> {
    await this.page.locator(".loading").first().waitFor({ state: "detached" });
  }

  /**
   * What axe finds wrong, one line each; and what makes the page wider than its window. `contrast`: of the colours alone,
   * which are all that another theme changes.
   */
  async offences(of: "all" | "contrast" = "all"): Promise<readonly string[]> {
    if (!(await this.page.evaluate("'axe' in window"))) await this.page.evaluate(axe.source);
    const runOnly = of === "all" ? RULES : ["color-contrast"];
    const found = (await this.page.evaluate(
      `axe.run(document, { runOnly: ${JSON.stringify(runOnly)}, resultTypes: ["violations"] }).then(
        ({ violations }) => violations.flatMap(({ id, nodes }) =>
          nodes.map(({ target, failureSummary }) => id + ": " + target.join(" ") + ": " + failureSummary)))`,
    )) as string[];
    const over = await this.overflow();
    return over > 0 ? [...found, `the page is ${over} px wider than its window`] : found;
  }

  /** By how many px the page is wider than its window. */
  overflow(): Promise<number> {
    return this.page.evaluate(
      "document.documentElement.scrollWidth - document.documentElement.clientWidth",
    ) as Promise<number>;
  }

  /**
   * All of it at 1280 px in the light theme and at 390 px in the dark one, the colours of the two other looks, and the
   * room at 820 px. Empty where nothing is wrong.
   */
  async offencesInAllLooks(): Promise<Readonly<Record<string, readonly string[]>>> {
    const { page } = this;
    const looks: Record<string, readonly string[]> = {};
    await page.setViewportSize(WIDE);
    looks.wide = await this.offences();
    await page.emulateMedia({ colorScheme: "dark" });
    looks.dark = await this.offences("contrast");
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize(BETWEEN);
    const over = await this.overflow();
    looks.between = over > 0 ? [`the page is ${over} px wider than its window`] : [];
    await page.setViewportSize(NARROW);
    looks.narrow = await this.offences("contrast");
    await page.emulateMedia({ colorScheme: "dark" });
    looks.narrowDark = await this.offences();
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize(WIDE);
    return Object.fromEntries(Object.entries(looks).filter(([, offences]) => offences.length > 0));
  }

  /** Text that the page copied last. */
  copied(): Promise<string> {
    return this.page.evaluate("navigator.clipboard.readText()") as Promise<string>;
  }

  get path(): string {
    return this.page.url().slice(this.#url.length);
  }

  /** Closes the tab; throws what the page complained about. */
  async [Symbol.asyncDispose](): Promise<void> {
    // What the page asks for until its end may be under way in a route of the test's, which then fails.
    await this.page.unrouteAll({ behavior: "ignoreErrors" });
    await this.#context.close();
    if (this.#complaints.length > 0) throw new Error(`the page's console: ${this.#complaints.join("\n")}`);
  }
}

function chromiumPath(): string {
  const folder = (process.env.PATH ?? "").split(":").find((each) => readable(`${each}/chromium`));
  return `${folder}/chromium`;
}

function readable(path: string): boolean {
  try {
    readFileSync(path, { flag: "r" });
    return true;
  } catch {
    return false;
  }
}
