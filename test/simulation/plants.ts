/** Mistakes that planted-bugs.ts plants into a copy of the sources. */
export interface Plant {
  readonly name: string;
  /** What the mistake is, for people. */
  readonly what: string;
  readonly file: string;
  /** Stands once in the file. */
  readonly find: string;
  readonly replace: string;
  /** Rules of the simulation, one of which must break. */
  readonly breaks: readonly string[];
}

export const PLANTS: readonly Plant[] = [
  {
    name: "commit-before-durable",
    what: "a position passes records whose work is still open",
    file: "src/intake/offset-window.ts",
    find: "if (entry === undefined || !entry.released) break;",
    replace: "if (entry === undefined) break;",
    breaks: ["commit before durable", "lost"],
  },
  {
    name: "lease-without-fencing",
    what: "an outcome is taken whatever fence and run it names",
    file: "src/adapters/sqlite/deliveries.ts",
    find: "if (known.fence !== fence || known.run !== run || known.status !== ATTEMPTING) {",
    replace: "if (known.status !== ATTEMPTING) {",
    breaks: ["stale write", "fence"],
  },
  {
    name: "order-lost-on-retry",
    what: "the next of a pass goes while the one before it waits for its retry",
    file: "src/delivery/chains.ts",
    find: `      chain.openFrom = Math.min(chain.openFrom, entry.sequence);
      this.#move(entry, "leaving");`,
    replace: '      this.#move(entry, "leaving");',
    breaks: ["order"],
  },
  {
    name: "dedupe-on-the-event-alone",
    what: "an event that is stored is taken for done, although a crash came before its deliveries",
    file: "src/delivery/plan.ts",
    find: "const candidates: Candidate[] = [];",
    replace: `if (pending === undefined && known !== undefined) {
      ticket.planned();
      return [];
    }
    const candidates: Candidate[] = [];`,
    breaks: ["commit before durable", "lost"],
  },
  {
    name: "stale-subscriptions",
    what: "subscriptions are read once and never again",
    file: "src/matching/subscription-index.ts",
    find: "if (held === undefined || held.version < (versions[at] ?? 0)) stale.push(tenant);",
    replace: "if (held === undefined || (versions[at] ?? 0) < 0) stale.push(tenant);",
    breaks: ["commit before durable", "lost", "stuck", "undue"],
  },
  {
    name: "no-joining",
    what: "a record that finds its delivery in flight does not wait for it (rule 1)",
    file: "src/delivery/plan.ts",
    find: "if (joined !== undefined) joined.waiters.push(ticket.hold());",
    replace: "if (joined !== undefined) continue;",
    breaks: ["commit before durable", "lost"],
  },
  {
    name: "stale-sends",
    what: "what came from a partition that was lost is sent all the same (rule 2)",
    file: "src/delivery/turn.ts",
    find: "return !isFromLog(work) || this.#deps.isFresh(work.assignment);",
    replace: "return true;",
    breaks: ["repeat", "order"],
  },
  {
    name: "sends-of-an-earlier-life",
    what: "what was claimed before others took the worker for dead is sent after it",
    file: "src/delivery/turn.ts",
    find: "return claim === undefined || (holder.isSure && claim.life === holder.life);",
    replace: "return claim === undefined || holder.isSure;",
    breaks: ["repeat", "order"],
  },
  {
    name: "terminal-overwritten",
    what: "a first outcome that is delivered takes a row that is terminal already (rule 3)",
    file: "src/adapters/sqlite/deliveries.ts",
    find: "const delivers = status === DELIVERED && known.run === 1 && !isTerminal(known.status);",
    replace: "const delivers = status === DELIVERED && known.run === 1;",
    breaks: ["terminal state"],
  },
  {
    name: "flush-given-up",
    what: "a batch whose flush failed is forgotten",
    file: "src/delivery/recorder.ts",
    find: "const { conflicts, applied } = await this.#timed(() => this.#deps.store.flush({ events, deliveries }));",
    replace: `const nothing = { conflicts: [], applied: deliveries.map(() => false) };
    const { conflicts, applied } = await this.#timed(() =>
      this.#deps.store.flush({ events, deliveries }).catch(() => nothing),
    );`,
    breaks: ["commit before durable", "lost", "unrecorded"],
  },
  {
    name: "held-for-ever",
    what: "held deliveries are not released when their subscription is enabled (rule 8)",
    file: "src/delivery/sweeper.ts",
    find: "if (move.unsequenced !== true) await this.#move(entry, move);",
    replace: `if (move.to === "waiting") continue;
      if (move.unsequenced !== true) await this.#move(entry, move);`,
    breaks: ["stuck"],
  },
  {
    name: "dropped-by-state",
    what: "DROP is decided by the state at matching, not by when the event was accepted (rule 10)",
    file: "src/matching/subscription-index.ts",
    find: "(span) => span.fromMs <= loggedAtMs && (span.toMs === undefined || loggedAtMs < span.toMs),",
    replace: "(span) => span.toMs === undefined,",
    breaks: ["commit before durable", "lost", "undue"],
  },
  {
    name: "held-in-a-later-run",
    what: "a held delivery of a later run is not released at an ordered subscription (found here on the first day)",
    file: "src/adapters/sqlite/claims.ts",
    find: '"AND (sequence IS NULL OR run > 1)"',
    replace: '"AND (sequence IS NULL OR run > 1) AND sequence IS NULL"',
    breaks: ["stuck"],
  },
  {
    name: "folded-over-another-type",
    what: "conflation passes over an event that is no UPDATED",
    file: "src/delivery/conflation.ts",
    find: "if (isPlainUpdate(row) && isFree)",
    replace: "if (isFree)",
    breaks: ["folded"],
  },
  {
    name: "failure-untold",
    what: "an operational event is not told of a delivery that was given up",
    file: "src/delivery/turn.ts",
    find: "if (isTold) await this.#tellFailed(work, subscription, attempt);",
    replace: "if (!isTold) await this.#tellFailed(work, subscription, attempt);",
    breaks: ["untold"],
  },
];
