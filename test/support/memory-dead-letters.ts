import {
  type DeadLetter,
  type DeadLetterFilter,
  type DeadLetterStore,
  deadLetterId,
  type KeptDeadLetter,
  letterToKeep,
} from "../../src/intake/dead-letters.ts";
import { type Page, type PageRequest, pageOf } from "../../src/kernel/page.ts";
import { sameTenant, type Tenant } from "../../src/kernel/tenant.ts";

/** Dead letters in memory, for tests of what stands above the store. */
export class MemoryDeadLetters implements DeadLetterStore {
  readonly rows = new Map<string, KeptDeadLetter>();
  /** Set, `noteRedriven` rejects with it. */
  noteError: Error | undefined;

  async put(letters: readonly DeadLetter[]): Promise<void> {
    for (const letter of letters) {
      const id = deadLetterId(letter.record);
      if (!this.rows.has(id)) this.rows.set(id, letterToKeep(letter));
    }
  }

  /** Puts them; answers their ids. */
  async add(...letters: readonly DeadLetter[]): Promise<string[]> {
    await this.put(letters);
    return letters.map(({ record }) => deadLetterId(record));
  }

  async list(
    tenant: Tenant,
    { reason }: DeadLetterFilter,
    { size, after }: PageRequest,
  ): Promise<Page<KeptDeadLetter>> {
    const place = (row: KeptDeadLetter) => ({ timeMs: row.record.appendedAtMs, id: row.id });
    const rows = [...this.rows.values()]
      .filter((row) => sameTenant(row.tenant, tenant) && (reason === undefined || row.reason === reason))
      .sort((left, right) => place(right).timeMs - place(left).timeMs || (left.id < right.id ? 1 : -1));
    const from = after === undefined ? 0 : rows.findIndex(({ id }) => id === after.id) + 1;
    return pageOf(rows.slice(from, from + size + 1), size, place);
  }

  async find(tenant: Tenant, ids: readonly string[]): Promise<ReadonlyArray<KeptDeadLetter | undefined>> {
    return ids.map((id) => {
      const row = this.rows.get(id);
      return row !== undefined && sameTenant(row.tenant, tenant) ? row : undefined;
    });
  }

  async noteRedriven(tenant: Tenant, ids: readonly string[], nowMs: number): Promise<void> {
    if (this.noteError !== undefined) throw this.noteError;
    for (const row of await this.find(tenant, ids)) {
      if (row !== undefined) this.rows.set(row.id, { ...row, redrivenAtMs: nowMs });
    }
  }
}
