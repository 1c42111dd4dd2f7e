/** Whose turn it is: groups take turns, and within each its members, so that many members get no more turns than one. */

export class Round<T> {
  readonly #groupOf: (one: T) => string;
  /** In the order of their turns. */
  readonly #groups = new Map<string, Set<T>>();

  constructor(groupOf: (one: T) => string) {
    this.#groupOf = groupOf;
  }

  get isEmpty(): boolean {
    return this.#groups.size === 0;
  }

  /** At the end of its group's turns; who is there already keeps his place. */
  add(one: T): void {
    const group = this.#groupOf(one);
    const members = this.#groups.get(group);
    if (members === undefined) this.#groups.set(group, new Set([one]));
    else members.add(one);
  }

  delete(one: T): void {
    const group = this.#groupOf(one);
    const members = this.#groups.get(group);
    if (members?.delete(one) === true && members.size === 0) this.#groups.delete(group);
  }

  /** The next member of the next group that may have a turn; this group is the last then. The member stays. */
  next(may: (group: string) => boolean = () => true): T | undefined {
    for (const [group, members] of this.#groups) {
      if (!may(group)) continue;
      this.#groups.delete(group);
      this.#groups.set(group, members);
      return members.values().next().value;
    }
    return undefined;
  }

  /** The next one, who has had his turn then. */
  take(): T | undefined {
    const one = this.next();
    if (one !== undefined) this.delete(one);
    return one;
  }
}
