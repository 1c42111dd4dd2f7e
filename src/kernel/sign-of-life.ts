/**
 * A stream that has nothing to tell says so this often. Whoever reads one and hears nothing for three times as long knows
 * that the connection is gone, which nobody may have told it of.
 */
export const SIGN_OF_LIFE_MS = 15_000;
