/** How much the heavy suites on Kafka and MongoDB send. */

const VARIABLE = "PASSBUS_TEST_EVENTS";

/** Events of a heavy suite: as usual, or what the variable says (`npm run test:long`: 20,000). A multiple of 100. */
export function eventCount(usual = 5_000): number {
  const value = process.env[VARIABLE];
  if (value === undefined || value === "") return usual;
  const count = Number(value);
  if (!Number.isSafeInteger(count) || count < 100 || count % 100 !== 0) {
    throw new Error(`${VARIABLE} is a multiple of 100, not "${value}"`);
  }
  return count;
}
