/** How much the heavy suites on Kafka and MongoDB send. */

const VARIABLE = "PASSBUS_TEST_EVENTS";
const USUAL = 5_000;

/** Events of a heavy suite: 5,000, or what the variable says (`npm run test:long`: 20,000). A multiple of 100. */
export function eventCount(value: string | undefined = process.env[VARIABLE]): number {
  if (value === undefined || value === "") return USUAL;
  const count = Number(value);
  if (!Number.isSafeInteger(count) || count < 100 || count % 100 !== 0) {
    throw new Error(`${VARIABLE} is a multiple of 100, not "${value}"`);
  }
  return count;
}
