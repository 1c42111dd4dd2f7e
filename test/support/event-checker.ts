/**
 * The independent judge of a fault: compares what was accepted (by the producer), what really came (by the receiver) and
 * what passbus says of it (by its API), none of which believes another. Pure; what gathers the accounts is
 * event-accounts.ts.
 */

/** One request, as the receiver had it. */
export interface Received {
  readonly subscriptionId: string;
  readonly eventId: string;
  readonly webhookId: string;
  /** Wall clock of the receiver. */
  readonly atMs: number;
  /** What it answered; 0 where it never did. */
  readonly status: number;
}

/** One delivery, as passbus tells it. */
export interface Logged {
  readonly subscriptionId: string;
  readonly eventId: string;
  readonly webhookId: string;
  readonly status: "waiting" | "attempting" | "held" | "delivered" | "failed" | "cancelled";
  readonly attemptCount: number;
  /** Of the attempts that are kept: what the receiver answered, 0 where nothing came back. */
  readonly statuses: readonly number[];
  /** Of these, attempts that may have reached the receiver and brought no usable answer: each may cost a repeat. */
  readonly unanswered?: number;
}

/** A moment at which a process died, and what it had sent and not recorded: in flight, or unflushed. */
export interface Death {
  readonly atMs: number;
  readonly unrecorded: ReadonlySet<string>;
}

export interface Accounts {
  /** Events whose publication was answered OK. */
  readonly accepted: ReadonlySet<string>;
  /** Those and all others that somebody asked for: a call that broke may have got through. */
  readonly asked: ReadonlySet<string>;
  /** Subscriptions that are to get every accepted event and answer it 2xx in the end. */
  readonly healthy: readonly string[];
  /** Subscriptions whose endpoint is broken: passbus is to keep a delivery of every accepted event for them. */
  readonly broken?: readonly string[];
  /** How many attempts a broken one's delivery has before it may be FAILED. */
  readonly attemptsBeforeFailed?: number;
  readonly received: readonly Received[];
  readonly logged: readonly Logged[];
  /** Where passbus may have repeated, in the order of time. None: nothing may be repeated. */
  readonly deaths?: readonly Death[];
}

/** What the comparison found. Names are `event@subscription`. */
export interface Findings {
  readonly accepted: number;
  /** Different webhooks that healthy endpoints answered 2xx. */
  readonly delivered: number;
  /** Accepted, and never answered 2xx by a healthy endpoint; at a broken one, accepted and in no log. */
  readonly lost: readonly string[];
  /** Came, and nobody asked for it. */
  readonly unexpected: readonly string[];
  /** One event came to one endpoint, or is logged, under several webhook ids. */
  readonly split: readonly string[];
  /** Requests after the endpoint had answered the same webhook 2xx, or while an answer was still open. */
  readonly repeats: readonly Received[];
  /**
   * Of these, those that nothing explains. A death excuses one repeat of each webhook that was unrecorded then, and an
   * attempt without an answer one of its webhook.
   */
  readonly unexplained: readonly Received[];
  /** The most repeats that deaths and unanswered attempts allow. */
  readonly repeatBound: number;
  /** The log says DELIVERED and no 2xx was answered, or FAILED or CANCELLED although one was, or FAILED too early. */
  readonly wronglyTerminal: readonly string[];
  /** The log has it still open, or not at all, although a healthy endpoint answered 2xx. */
  readonly unfinished: readonly string[];
  /** Attempts with an answer in the log that the receiver did not give. */
  readonly invented: readonly string[];
  /** Answers that the receiver gave and that are in no log, beyond what was unrecorded at a death. */
  readonly unlogged: readonly string[];
}

export function checkEvents(accounts: Accounts): Findings {
  const received = Map.groupBy(accounts.received, nameOf);
  const logged = Map.groupBy(accounts.logged, nameOf);
  const judged = new Set([...accounts.healthy, ...(accounts.broken ?? [])]);
  const names = [...new Set([...received.keys(), ...logged.keys()])].filter((name) => judged.has(endpointOf(name)));
  const deaths = accounts.deaths ?? [];
  const repeats = accounts.received.filter(isRepeat(received)).sort((left, right) => left.atMs - right.atMs);
  const healthy = new Set(accounts.healthy);
  return {
    accepted: accounts.accepted.size,
    delivered: [...received].filter(([name, requests]) => healthy.has(endpointOf(name)) && isTaken(requests)).length,
    lost: lostOf(accounts, received, logged),
    unexpected: names.filter((name) => !accounts.asked.has(eventOf(name))),
    split: names.filter((name) => idsOf(received.get(name), logged.get(name)).size > 1),
    repeats,
    unexplained: unexplainedOf(repeats, deaths, accounts.logged),
    repeatBound: deaths.reduce((sum, { unrecorded }) => sum + unrecorded.size, 0) + unansweredOf(accounts),
    wronglyTerminal: names.filter((name) =>
      isWronglyTerminal(received.get(name) ?? [], logged.get(name) ?? [], accounts.attemptsBeforeFailed ?? 1),
    ),
    unfinished: names.filter((name) => {
      const isDone = (logged.get(name) ?? []).some(({ status }) => status === "delivered");
      return healthy.has(endpointOf(name)) && isTaken(received.get(name) ?? []) && !isDone;
    }),
    invented: names.filter((name) => {
      const came = countsOf((received.get(name) ?? []).map(({ status }) => status));
      const told = countsOf((logged.get(name) ?? []).flatMap(({ statuses }) => statuses));
      return [...told].some(([status, count]) => status !== 0 && count > (came.get(status) ?? 0));
    }),
    unlogged: names.filter((name) => isUnlogged(received.get(name) ?? [], logged.get(name) ?? [], deaths)),
  };
}

/** The accounts of these events alone. */
export function accountsOf(events: ReadonlySet<string>, accounts: Accounts): Accounts {
  const isOfThese = ({ eventId }: { readonly eventId: string }) => events.has(eventId);
  return {
    ...accounts,
    accepted: accounts.accepted.intersection(events),
    asked: accounts.asked.intersection(events),
    received: accounts.received.filter(isOfThese),
    logged: accounts.logged.filter(isOfThese),
  };
}

/** The accounts of these healthy endpoints alone. */
export function accountsAt(endpoints: readonly string[], accounts: Accounts): Accounts {
  const isAtThese = ({ subscriptionId }: { readonly subscriptionId: string }) => endpoints.includes(subscriptionId);
  return {
    ...accounts,
    healthy: endpoints,
    broken: [],
    received: accounts.received.filter(isAtThese),
    logged: accounts.logged.filter(isAtThese),
  };
}

/** One line for each kind of thing that must never be, with the first few; empty where all is well. */
export function violationsOf(findings: Findings): readonly string[] {
  const kinds = ["lost", "unexpected", "split", "wronglyTerminal", "unfinished", "invented", "unlogged"] as const;
  const lines = kinds.map((kind) => ({ kind: kind as string, items: findings[kind] }));
  lines.push({ kind: "unexplained", items: findings.unexplained.map((one) => `${nameOf(one)} at ${one.atMs}`) });
  return lines
    .filter(({ items }) => items.length > 0)
    .map(({ kind, items }) => `${kind}: ${items.length} (${items.slice(0, 3).join(", ")})`);
}

/**
 * When the last of these events was last taken by a healthy endpoint, repeats counted, by the receiver's wall clock:
 * then all is through. Infinite where one never was taken.
 */
export function lastTakenMs(accounts: Accounts, events: Iterable<string>): number {
  const takenMs = new Map<string, number>();
  for (const request of accounts.received) {
    if (!isSuccess(request.status)) continue;
    const name = nameOf(request);
    takenMs.set(name, Math.max(takenMs.get(name) ?? 0, request.atMs));
  }
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const event of events) {
    for (const endpoint of accounts.healthy) {
      lastMs = Math.max(lastMs, takenMs.get(`${event}@${endpoint}`) ?? Number.POSITIVE_INFINITY);
    }
  }
  return lastMs;
}

function nameOf({ eventId, subscriptionId }: Received | Logged): string {
  return `${eventId}@${subscriptionId}`;
}

function eventOf(name: string): string {
  return name.slice(0, name.lastIndexOf("@"));
}

function endpointOf(name: string): string {
  return name.slice(name.lastIndexOf("@") + 1);
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function isTaken(requests: readonly Received[]): boolean {
  return requests.some(({ status }) => isSuccess(status));
}

type Named<T> = ReadonlyMap<string, readonly T[]>;

function lostOf(accounts: Accounts, received: Named<Received>, logged: Named<Logged>): readonly string[] {
  const { accepted, healthy, broken = [] } = accounts;
  const namesAt = (endpoints: readonly string[]) =>
    endpoints.flatMap((endpoint) => [...accepted].map((event) => `${event}@${endpoint}`));
  return [
    ...namesAt(healthy).filter((name) => !isTaken(received.get(name) ?? [])),
    ...namesAt(broken).filter((name) => !logged.has(name)),
  ];
}

function idsOf(requests: readonly Received[] = [], deliveries: readonly Logged[] = []): ReadonlySet<string> {
  return new Set([...requests, ...deliveries].map(({ webhookId }) => webhookId));
}

/** A retry after a refusal is none; a second request after a success is, or after one that was never answered. */
function isRepeat(received: Named<Received>): (request: Received) => boolean {
  const excess = new Set<Received>();
  for (const requests of received.values()) {
    const inOrder = [...requests].sort((left, right) => left.atMs - right.atMs);
    let isDone = false;
    for (const request of inOrder) {
      if (isDone) excess.add(request);
      isDone ||= isSuccess(request.status) || request.status === 0;
    }
  }
  return (request) => excess.has(request);
}

function unansweredOf({ healthy, logged }: Accounts): number {
  const ours = logged.filter(({ subscriptionId }) => healthy.includes(subscriptionId));
  return ours.reduce((sum, { unanswered = 0 }) => sum + unanswered, 0);
}

function unexplainedOf(
  repeats: readonly Received[],
  deaths: readonly Death[],
  logged: readonly Logged[],
): readonly Received[] {
  const unanswered = new Map(logged.map((delivery) => [delivery.webhookId, delivery.unanswered ?? 0]));
  const used = new Map<string, number>();
  return repeats.filter(({ webhookId, atMs }) => {
    const died = deaths.filter((death) => death.atMs <= atMs && death.unrecorded.has(webhookId)).length;
    const excuses = died + (unanswered.get(webhookId) ?? 0);
    const already = used.get(webhookId) ?? 0;
    used.set(webhookId, already + 1);
    return already >= excuses;
  });
}

function isWronglyTerminal(requests: readonly Received[], rows: readonly Logged[], attemptsBeforeFailed: number) {
  return rows.some(({ status, attemptCount }) => {
    if (status === "delivered") return !isTaken(requests);
    if (status === "failed") return isTaken(requests) || attemptCount < attemptsBeforeFailed;
    return status === "cancelled" && isTaken(requests);
  });
}

function isUnlogged(requests: readonly Received[], rows: readonly Logged[], deaths: readonly Death[]): boolean {
  const answered = requests.filter(({ status }) => status !== 0).length;
  const ids = idsOf(requests);
  const excuses = deaths.filter(({ unrecorded }) => [...ids].some((id) => unrecorded.has(id))).length;
  return answered - rows.reduce((sum, { attemptCount }) => sum + attemptCount, 0) > excuses;
}

function countsOf(values: readonly number[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
