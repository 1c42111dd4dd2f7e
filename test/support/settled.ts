/** Lets everything that is ready run: promises and immediates, no timers. Enough turns for any chain in a unit test. */
export async function settled(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}
