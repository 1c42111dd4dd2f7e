import type { PurgeRequest, PurgeStep, RetentionStore, TenantRetention } from "../../src/delivery/retention.ts";

/** What the upkeep asks of a store, written down; the test gives the answers. */
export class AskedRetention implements RetentionStore {
  readonly asked: PurgeRequest[] = [];
  readonly ended: string[] = [];
  answer: (request: PurgeRequest) => PurgeStep = () => ({ purged: 0, more: false });
  given: TenantRetention[] = [];
  turn = true;
  turnsTaken = 0;
  state: string | null = null;

  async tenants() {
    return this.given;
  }

  async purge(request: PurgeRequest) {
    this.asked.push(request);
    return this.answer(request);
  }

  async expireHeld(_tenant: unknown, ids: readonly string[]) {
    this.ended.push(...ids);
    return ids.length;
  }

  async takeTurn() {
    this.turnsTaken++;
    return this.turn ? { state: this.state } : undefined;
  }

  async keepState(_holder: string, state: string) {
    this.state = state;
  }

  /** Since the last call: how old what goes must be, by kind. */
  agesAt(nowMs: number): Readonly<Record<string, number>> {
    return Object.fromEntries(this.asked.splice(0).map(({ kind, beforeMs }) => [kind, nowMs - beforeMs]));
  }
}
