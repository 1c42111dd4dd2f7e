/** Copy buttons in a real browser, over plain HTTP too, where pages have no clipboard; and what they say in a dialog. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { browser, Stage } from "../support/browser.ts";

const LIMIT_MS = 120_000;

describe.skipIf(!browser.present)(browser.title("a secret that is shown once"), () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  }, LIMIT_MS);
  afterAll(() => stage?.[Symbol.asyncDispose]());

  it.each([true, false])(
    "is copied from its dialog, and screen readers hear that it was, where the page has a clipboard: %j",
    async (hasClipboard) => {
      await using visit = await stage.visit("/access/keys");
      const { page } = visit;
      // As on http://10.0.0.5: a page of 127.0.0.1 has one. The test reads the real one.
      await page.addInitScript("globalThis.clipboardOfTest = navigator.clipboard");
      if (!hasClipboard) {
        await page.addInitScript("Object.defineProperty(Navigator.prototype, 'clipboard', { get: () => undefined })");
      }
      await page.reload();
      await visit.signIn(stage.key);
      await page.getByRole("button", { name: "Make the key" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByRole("button", { name: "Copy the key" }).click();
      // By its role: what is hidden from screen readers has none.
      await page.getByRole("status").filter({ hasText: "Copied the key." }).waitFor();
      const copied = await page.evaluate("globalThis.clipboardOfTest.readText()");
      expect(copied).toMatch(/^pb_production_/);
      expect(await dialog.locator("code").first().textContent()).toBe(copied);
      expect(await visit.offences()).toEqual([]);
    },
    LIMIT_MS,
  );
});
