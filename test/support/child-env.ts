/** What processes that a test starts get of our own environment: nothing that decides what passbus does. */
const cache = process.env.NODE_COMPILE_CACHE;

/** They compile each module of passbus once between them (scripts/test.ts), which is most of a start's work. */
export const CHILD_ENV: Readonly<Record<string, string | undefined>> = {
  PATH: process.env.PATH,
  ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }),
};
