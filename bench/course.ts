/** How far a run has come: a bar on the terminal below what it says, and nothing where nobody looks. */
import { barOf, CLEAR_LINE } from "../src/cli/progress.ts";

/** Where a bar may be drawn, as `process.stderr`. */
export interface Screen {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export class Course {
  readonly #screen: Screen;
  #steps = 0;
  #done = 0;
  #text = "";

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** From here on there are so many steps. */
  begin(steps: number): void {
    this.#steps = steps;
    this.#done = 0;
  }

  /** Fewer than were expected: what is left out counts as done. */
  skip(steps: number): void {
    this.#done += steps;
  }

  async step<T>(text: string, run: () => Promise<T>): Promise<T> {
    this.#text = text;
    this.#draw();
    const answer = await run();
    this.#done += 1;
    this.#draw();
    return answer;
  }

  /** A line that stays, above the bar. */
  say(line: string): void {
    this.#clear();
    this.#screen.write(`${line}\n`);
    this.#draw();
  }

  /** Takes the bar away. */
  end(): void {
    this.#clear();
    this.#steps = 0;
  }

  #clear(): void {
    if (this.#isShown()) this.#screen.write(CLEAR_LINE);
  }

  #draw(): void {
    if (!this.#isShown()) return;
    const share = Math.min(1, this.#done / this.#steps);
    this.#screen.write(`${CLEAR_LINE}${barOf(share)} ${Math.floor(share * 100)} %, ${this.#text}`);
  }

  #isShown(): boolean {
    return this.#screen.isTTY === true && this.#steps > 0 && this.#text !== "";
  }
}
