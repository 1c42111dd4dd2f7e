import { beforeEach } from "vitest";

/**
 * Makes what several tests look at, before the first of them: a `beforeAll` that has a second try as each test has
 * (vitest.config.ts). Where a test failed, or the making did, it is made anew for the try that follows, and no third time.
 */
export function madeOnce(make: () => Promise<void>, limitMs: number): void {
  let made: Promise<void> | undefined;
  let makings = 0;
  beforeEach(({ onTestFailed }) => {
    onTestFailed(() => {
      if (makings < 2) made = undefined;
    });
    if (made === undefined) {
      makings += 1;
      made = make();
    }
    return made;
  }, limitMs);
}
