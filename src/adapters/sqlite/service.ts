/** The store's calls over one database: reads at once, writes through the group commit. */
import type { DatabaseSync } from "node:sqlite";
import type { CallHandlers } from "../../kernel/thread-call.ts";
import { AuditTable, KeyTable, SessionTable } from "./access.ts";
import type { AccessCalls } from "./access-calls.ts";
import type { BinCalls } from "./bin-calls.ts";
import { BinTable } from "./bins.ts";
import type { StoreCalls } from "./calls.ts";
import { CertificateTable } from "./certificates.ts";
import { Chains } from "./chains.ts";
import { ChangeTable } from "./changes.ts";
import { Claims, TURNED_AT_ONCE } from "./claims.ts";
import { DeadLetterTable } from "./dead-letters.ts";
import { DeliveryTable } from "./deliveries.ts";
import { DeliveryList } from "./delivery-list.ts";
import type { EndpointCalls } from "./endpoint-calls.ts";
import { EndpointTable } from "./endpoints.ts";
import type { ErasureCalls } from "./erasure-calls.ts";
import { ErasureTable } from "./erasures.ts";
import { EventTable } from "./events.ts";
import { ExpiryTable } from "./expiry.ts";
import { flushWith } from "./flush.ts";
import type { KindCalls } from "./kind-calls.ts";
import { KindTable } from "./kinds.ts";
import { OrganisationTable } from "./organisations.ts";
import type { ReplayCalls } from "./replay-calls.ts";
import { CandidateList } from "./replay-candidates.ts";
import { ReplayTable } from "./replays.ts";
import { StatsTable } from "./stats.ts";
import type { StatsCalls } from "./stats-calls.ts";
import { SubscriptionTable } from "./subscriptions.ts";
import { SwitchTable } from "./switches.ts";
import { Tenants } from "./tenants.ts";
import { storeError, WriteQueue } from "./write-queue.ts";

export interface StoreService {
  readonly handlers: CallHandlers<StoreCalls>;
  /** All leases are of a dead process: their work is due at `nowMs`. */
  releaseLeases(nowMs: number): void;
  /** Makes durable, at once, what has been asked so far. */
  drain(): void;
  close(): void;
}

export function storeService(database: DatabaseSync): StoreService {
  const tenants = new Tenants(database);
  const queue = new WriteQueue(database, () => tenants.forget());
  const events = new EventTable(database, tenants);
  const deliveries = new DeliveryTable(database, tenants);
  const claims = new Claims(database, tenants, events, deliveries);
  const chains = new Chains(database, tenants, events);
  const list = new DeliveryList(database, tenants);
  const changes = new ChangeTable(database, events, deliveries);
  const endpoints = new EndpointTable(database, tenants);
  const subscriptions = new SubscriptionTable(database, tenants, (...key) => endpoints.forget(...key));
  const replays = new ReplayTable(database, tenants, events, deliveries);
  const candidates = new CandidateList(database, tenants);
  const expiry = new ExpiryTable(database, tenants, deliveries);
  const deadLetters = new DeadLetterTable(database, tenants);
  const flush = flushWith(tenants, events, deliveries);
  const handlers: CallHandlers<StoreCalls> = {
    flush: (batch) => queue.add(batch.events.length + batch.deliveries.length, () => flush(batch)),
    claim: (request) => queue.add(request.limit, () => claims.claim(request)),
    turnBack: (request) => queue.add(TURNED_AT_ONCE, () => claims.turnBack(request)),
    shortenLeases: (request) => queue.add(1, () => claims.shortenLeases(request)),
    moveOpen: (request) => queue.add(request.limit, () => claims.moveOpen(request)),
    promote: (asked) => queue.add(asked.chains.length, () => chains.promote(asked)),
    promoteNext: (asked) => queue.add(asked.limit, () => chains.promoteNext(asked)),
    fold: (asked) => queue.add(asked.folds.length, () => chains.fold(asked)),
    retry: (request) => queue.add(1, () => deliveries.retry(request)),
    cancel: (request) => queue.add(1, () => deliveries.cancel(request)),
    ...replayHandlers(queue, replays, candidates),
    insertSubscription: (asked) => queue.add(1, () => subscriptions.insertSubscription(asked)),
    replaceSubscription: (row) => queue.add(1, () => subscriptions.replaceSubscription(row)),
    removeSubscription: (key) => queue.add(1, () => subscriptions.removeSubscription(key)),
    ...endpointHandlers(queue, endpoints),
    ...upkeepHandlers(queue, new OrganisationTable(database), new SwitchTable(database), expiry),
    ...accessHandlers(queue, database, tenants),
    ...erasureHandlers(queue, new ErasureTable(database, tenants, (...key) => subscriptions.remove(...key))),
    ...inspectorHandlers(queue, new BinTable(database, tenants), new StatsTable(database, tenants)),
    ...deadLetterHandlers(queue, new DeadLetterTable(database, tenants)),
    ...changeHandlers(queue, changes, tenants),
    ...kindHandlers(queue, new KindTable(database), tenants),
    knownEvents: reading(events.knownEvents),
    knownDeliveries: reading(deliveries.knownDeliveries),
    openSubscriptions: reading(claims.openSubscriptions),
    openInChains: reading(chains.openInChains),
    getEvent: reading(events.getEvent),
    listEvents: reading(events.listEvents),
    getDelivery: reading(deliveries.getDelivery),
    listDeliveries: reading(list.listDeliveries),
    getSubscription: reading(subscriptions.getSubscription),
    listSubscriptions: reading(subscriptions.listSubscriptions),
    everySubscription: reading(subscriptions.everySubscription),
    versions: reading(subscriptions.versions),
    load: reading(subscriptions.load),
    listDeadLetters: reading(deadLetters.listDeadLetters),
    findDeadLetters: reading(deadLetters.findDeadLetters),
  };
  return {
    handlers,
    releaseLeases(nowMs) {
      deliveries.releaseLeases(nowMs);
      replays.releaseLeases();
      endpoints.releaseProbes(nowMs);
    },
    drain: () => queue.drain(),
    close() {
      queue.drain();
      database.close();
    },
  };
}

type UpkeepCalls = Pick<
  StoreCalls,
  | "limits"
  | "setLimits"
  | "purge"
  | "expireHeld"
  | "takeTurn"
  | "keepState"
  | "retainedTenants"
  | "putStop"
  | "removeStop"
  | "stops"
>;

/** What organisations were given, what is past its time, and what is stopped. */
function upkeepHandlers(
  queue: WriteQueue,
  organisations: OrganisationTable,
  switches: SwitchTable,
  expiry: ExpiryTable,
): CallHandlers<UpkeepCalls> {
  return {
    setLimits: (asked) => queue.add(1, () => organisations.setLimits(asked)),
    limits: reading(organisations.limits),
    purge: (request) => queue.add(request.limit, () => expiry.purge(request)),
    expireHeld: (asked) => queue.add(asked.ids.length, () => expiry.expireHeld(asked)),
    takeTurn: (request) => queue.add(1, () => expiry.takeTurn(request)),
    keepState: (asked) => queue.add(1, () => expiry.keepState(asked)),
    retainedTenants: reading(expiry.retainedTenants),
    putStop: (row) => queue.add(1, () => switches.putStop(row)),
    removeStop: (organisation) => queue.add(1, () => switches.removeStop(organisation)),
    stops: reading(switches.stops),
  };
}

function erasureHandlers(queue: WriteQueue, erasures: ErasureTable): CallHandlers<ErasureCalls> {
  return {
    putErasure: (row) => queue.add(1, () => erasures.putErasure(row)),
    postponeErasure: (asked) => queue.add(1, () => erasures.postponeErasure(asked)),
    resealErasure: (asked) => queue.add(1, () => erasures.resealErasure(asked)),
    removeErasure: (read) => queue.add(1, () => erasures.removeErasure(read)),
    erase: (request) => queue.add(request.limit, () => erasures.erase(request)),
    dueErasures: reading(erasures.dueErasures),
    // Between transactions, which don't wait for anything within.
    settleErased: reading(erasures.settleErased),
  };
}

function endpointHandlers(queue: WriteQueue, endpoints: EndpointTable): CallHandlers<EndpointCalls> {
  return {
    writeEndpoints: (rows) => queue.add(rows.length, () => endpoints.writeEndpoints(rows)),
    removeEndpoints: (keys) => queue.add(keys.length, () => endpoints.removeEndpoints(keys)),
    reserveRates: (requests) => queue.add(requests.length, () => endpoints.reserveRates(requests)),
    readEndpoints: reading(endpoints.readEndpoints),
    openEndpoints: reading(endpoints.openEndpoints),
  };
}

type ChangeCalls = Pick<StoreCalls, "watch" | "unwatch" | "changedEvents" | "changedDeliveries">;

function changeHandlers(queue: WriteQueue, changes: ChangeTable, tenants: Tenants): CallHandlers<ChangeCalls> {
  return {
    watch: async ({ tenant, rows }) => changes.open(await queue.add(1, () => tenants.ensure(tenant)), rows),
    unwatch: reading(changes.unwatch),
    changedEvents: reading(changes.changedEvents),
    changedDeliveries: reading(changes.changedDeliveries),
  };
}

function kindHandlers(queue: WriteQueue, kinds: KindTable, tenants: Tenants): CallHandlers<KindCalls> {
  return {
    watchKind: async ({ tenant, kind }) => kinds.open(await queue.add(1, () => tenants.ensure(tenant)), kind),
    changedIds: reading(kinds.changedIds),
    unwatchKind: reading(kinds.unwatchKind),
  };
}

type DeadLetterCalls = Pick<StoreCalls, "putDeadLetters" | "noteRedriven" | "listDeadLetters" | "findDeadLetters">;

function deadLetterHandlers(queue: WriteQueue, deadLetters: DeadLetterTable): CallHandlers<DeadLetterCalls> {
  return {
    putDeadLetters: (rows) => queue.add(rows.length, () => deadLetters.putDeadLetters(rows)),
    noteRedriven: (asked) => queue.add(asked.ids.length, () => deadLetters.noteRedriven(asked)),
    listDeadLetters: reading(deadLetters.listDeadLetters),
    findDeadLetters: reading(deadLetters.findDeadLetters),
  };
}

/** Request bins, and what is counted. */
function inspectorHandlers(queue: WriteQueue, bins: BinTable, stats: StatsTable): CallHandlers<BinCalls & StatsCalls> {
  return {
    insertBin: (asked) => queue.add(1, () => bins.insertBin(asked)),
    removeBin: (key) => queue.add(1, () => bins.removeBin(key)),
    putRequest: (asked) => queue.add(1, () => bins.putRequest(asked)),
    findBin: reading(bins.findBin),
    listBins: reading(bins.listBins),
    listRequests: reading(bins.listRequests),
    arrivals: reading(bins.arrivals),
    readRequests: reading(bins.readRequests),
    addCounts: (rows) => queue.add(2 * rows.length, () => stats.addCounts(rows)),
    putReport: (report) => queue.add(1, () => stats.putReport(report)),
    readCounts: reading(stats.readCounts),
    backlog: reading(stats.backlog),
    reports: reading(stats.reports),
  };
}

function accessHandlers(queue: WriteQueue, database: DatabaseSync, tenants: Tenants): CallHandlers<AccessCalls> {
  const keys = new KeyTable(database);
  const sessions = new SessionTable(database, tenants);
  const certificates = new CertificateTable(database, tenants);
  const audit = new AuditTable(database, tenants);
  return {
    insertKey: (row) => queue.add(1, () => keys.insertKey(row)),
    revokeKey: (asked) => queue.add(1, () => keys.revokeKey(asked)),
    noteKeyUses: (uses) => queue.add(uses.length, () => keys.noteKeyUses(uses)),
    findKey: reading(keys.findKey),
    hasKeys: reading(keys.hasKeys),
    listKeys: reading(keys.listKeys),
    countLiveKeys: reading(keys.countLiveKeys),
    bindCertificate: (row) => queue.add(1, () => certificates.bindCertificate(row)),
    unbindCertificate: (asked) => queue.add(1, () => certificates.unbindCertificate(asked)),
    findCertificate: reading(certificates.findCertificate),
    listCertificates: reading(certificates.listCertificates),
    insertSession: (row) => queue.add(1, () => sessions.insertSession(row)),
    revokeSession: (asked) => queue.add(1, () => sessions.revokeSession(asked)),
    findSession: reading(sessions.findSession),
    listSessions: reading(sessions.listSessions),
    countLiveSessions: reading(sessions.countLiveSessions),
    putAudit: (rows) => queue.add(rows.length, () => audit.putAudit(rows)),
    listAudit: reading(audit.listAudit),
  };
}

function replayHandlers(queue: WriteQueue, replays: ReplayTable, candidates: CandidateList): CallHandlers<ReplayCalls> {
  return {
    insertReplay: (asked) => queue.add(1, () => replays.insertReplay(asked)),
    changeReplay: (asked) => queue.add(1, () => replays.changeReplay(asked)),
    takeReplays: (request) => queue.add(1, () => replays.takeReplays(request)),
    stepReplay: (step) => queue.add(step.due.length + step.fresh.length + 1, () => replays.stepReplay(step)),
    countOpenReplays: reading(replays.countOpenReplays),
    getReplay: reading(replays.getReplay),
    listReplays: reading(replays.listReplays),
    replayProgress: reading(replays.replayProgress),
    replayCandidates: reading(candidates.replayCandidates),
    unattempted: reading(replays.unattempted),
    busyPasses: reading(replays.busyPasses),
    eventsById: reading(replays.eventsById),
  };
}

/** A read, whose failure is told as the store's. */
function reading<A, R>(read: (argument: A) => R): (argument: A) => R {
  return (argument) => {
    try {
      return read(argument);
    } catch (error) {
      throw storeError(error);
    }
  };
}
