/**
 * The audit log: who changed what, and who was refused. A change is written before its call is answered; where the store
 * does not take it, it is tried again until it does, and the call is answered meanwhile, since what was changed is changed.
 *
 * Refusals are counted: those of one minute that are alike are one record, written a moment later and again as the count
 * grows, so that a flood of bad keys is a few rows a minute. Reads that are allowed leave nothing and wait for nothing.
 */
import { type Clock, sleep } from "../kernel/clock.ts";
import type { ErrorCode } from "../kernel/errors.ts";
import { derivedId, type IdSource } from "../kernel/ids.ts";
import type { Log } from "../kernel/log.ts";
import { sameTenant, type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { AuditRecord, AuditStore } from "./access-store.ts";
import { peerNetwork } from "./peer.ts";

export interface AuditDeps {
  readonly store: Pick<AuditStore, "putAudit">;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly log: Log;
  /** Whoever runs passbus: whose those refusals are that belong to nobody else. */
  readonly operator: Tenant;
}

/** Something was changed, or may have been: then `code` says how the call failed. */
export interface Change {
  readonly tenant: Tenant;
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly peer: string;
  readonly code?: ErrorCode;
  /** Whoever runs passbus gets the record too: the tenant's own may be deleted by what it tells of. */
  readonly forOperator?: boolean;
}

/** `tenant` undefined: nobody knows whose it was. */
export interface Refusal {
  readonly tenant?: Tenant | undefined;
  readonly actor?: string | undefined;
  readonly action?: string;
  readonly target?: string;
  readonly peer: string;
  readonly code: ErrorCode;
}

const MINUTE_MS = 60_000;
/** Between two writes of refusals, and of what was not taken. */
const WRITE_EVERY_MS = 1_000;
/** How long a call waits for its record. */
const PATIENCE_MS = 5_000;
/** Different refusals of a minute; the others are counted together, by their code. */
const DIFFERENT = 256;
/** Records that wait for a store that takes none. */
const BACKLOG = 10_000;

export class AuditLog {
  readonly #deps: AuditDeps;
  /** So that the records of two processes differ. */
  readonly #process: string;
  #minute = 0;
  #counted = new Map<string, AuditRecord>();
  /** By id: what the store is still to be given. */
  readonly #unwritten = new Map<string, AuditRecord>();
  #lost = 0;
  #cancel: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(deps: AuditDeps) {
    this.#deps = deps;
    this.#process = deps.ids.next("adt");
  }

  /** Resolves when the record is durable, or after five seconds. Never rejects. */
  async changed({ code, forOperator = false, ...change }: Change): Promise<void> {
    const { store, clock, ids, operator } = this.#deps;
    const base = { ...change, timeMs: clock.now(), refused: false, code: code ?? "", count: 1 };
    const owners = forOperator && !sameTenant(change.tenant, operator) ? [change.tenant, operator] : [change.tenant];
    const records: readonly AuditRecord[] = owners.map((tenant) => ({ ...base, tenant, id: ids.next("aud") }));
    const over = new AbortController();
    const written = store.putAudit(records).catch((err: unknown) => {
      for (const record of records) this.#keep(record, err);
    });
    await Promise.race([written, sleep(clock, PATIENCE_MS, over.signal)]);
    over.abort();
  }

  refused({ tenant, actor = "", action = "", target = "", peer, code }: Refusal): void {
    const nowMs = this.#deps.clock.now();
    const minute = Math.floor(nowMs / MINUTE_MS);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#counted = new Map();
    }
    const owner = tenant ?? this.#deps.operator;
    const network = peerNetwork(peer);
    const key = JSON.stringify([tenantKey(owner), actor, action, target, network, code]);
    if (this.#counted.has(key) || this.#counted.size < DIFFERENT) {
      this.#count(key, { tenant: owner, actor, action, target, peer: network, code });
    } else {
      this.#count(code, { tenant: this.#deps.operator, actor: "", action: "", target: "", peer: "", code });
    }
  }

  /** Writes what waits, once. */
  async stop(): Promise<void> {
    this.#cancel?.();
    await this.#writing;
    await this.#write();
  }

  #count(key: string, refusal: Omit<AuditRecord, "id" | "timeMs" | "refused" | "count">): void {
    const known = this.#counted.get(key);
    const record: AuditRecord = {
      id: known?.id ?? derivedId("aud", [this.#process, String(this.#minute), key]),
      timeMs: known?.timeMs ?? this.#deps.clock.now(),
      refused: true,
      count: (known?.count ?? 0) + 1,
      ...refusal,
    };
    this.#counted.set(key, record);
    this.#later(record);
  }

  #keep(record: AuditRecord, err: unknown): void {
    this.#deps.log.error("audit.write_failed", { record: record.id, err });
    this.#later(record);
  }

  #later(record: AuditRecord): void {
    if (!this.#unwritten.has(record.id) && this.#unwritten.size >= BACKLOG) {
      this.#lost += 1;
      if (this.#lost === 1) this.#deps.log.error("audit.backlog_full", { records: BACKLOG });
      return;
    }
    this.#unwritten.set(record.id, record);
    this.#cancel ??= this.#deps.clock.after(WRITE_EVERY_MS, () => {
      this.#cancel = undefined;
      this.#writing = this.#writing.then(() => this.#write());
    });
  }

  async #write(): Promise<void> {
    const records = [...this.#unwritten.values()];
    if (records.length === 0) return;
    this.#unwritten.clear();
    try {
      await this.#deps.store.putAudit(records);
      if (this.#lost > 0) this.#deps.log.error("audit.records_lost", { records: this.#lost });
      this.#lost = 0;
    } catch (err) {
      this.#deps.log.error("audit.write_failed", { records: records.length, err });
      // What was counted on meanwhile is newer.
      for (const record of records) if (!this.#unwritten.has(record.id)) this.#later(record);
    }
  }
}
