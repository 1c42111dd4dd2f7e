/**
 * Metrics in Prometheus' text format 0.0.4. What is measured is asked for when somebody reads it; only what can't be
 * asked for later, how long things took, is kept here.
 */

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Metric {
  /** With its unit, and `_total` where it only grows. */
  readonly name: string;
  readonly help: string;
  readonly kind: "counter" | "gauge";
  /** undefined: it isn't known now, and left out. */
  readonly samples: readonly Sample[] | number | undefined;
}

/** Seconds; the last bucket is all. */
const BOUNDS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** How long one kind of thing took. */
export class Durations {
  readonly name: string;
  readonly help: string;
  readonly #counts: number[] = BOUNDS_S.map(() => 0);
  #all = 0;
  #sumS = 0;

  /** @param name ends in `_seconds`. */
  constructor(name: string, help: string) {
    this.name = name;
    this.help = help;
  }

  readonly note = (ms: number): void => {
    const seconds = ms / 1_000;
    this.#all += 1;
    this.#sumS += seconds;
    const at = BOUNDS_S.findIndex((bound) => seconds <= bound);
    if (at >= 0) this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  };

  text(): string {
    let below = 0;
    const buckets = BOUNDS_S.map((bound, at) => {
      below += this.#counts[at] ?? 0;
      return `${this.name}_bucket{le="${bound}"} ${below}\n`;
    });
    const all = `${this.name}_bucket{le="+Inf"} ${this.#all}\n`;
    const sum = `${this.name}_sum ${this.#sumS}\n${this.name}_count ${this.#all}\n`;
    return head(this.name, this.help, "histogram") + buckets.join("") + all + sum;
  }
}

export function metricsText(metrics: readonly Metric[], durations: readonly Durations[]): string {
  return metrics.map(metricText).join("") + durations.map((each) => each.text()).join("");
}

function metricText({ name, help, kind, samples }: Metric): string {
  if (samples === undefined) return "";
  const each = typeof samples === "number" ? [{ value: samples }] : samples;
  return head(name, help, kind) + each.map((sample) => sampleText(name, sample)).join("");
}

function head(name: string, help: string, kind: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`;
}

function sampleText(name: string, { labels = {}, value }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}\n`;
}

/** As the format has it: a backslash, a quote and a line's end. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** The same object, but for these of its methods: how long each of their calls took is told to `note`. */
export function timed<T extends object>(
  target: T,
  notes: { readonly [Name in keyof T]?: (ms: number) => void },
  monotonic: () => number,
): T {
  const bound = new Map<PropertyKey, unknown>();
  return new Proxy(target, {
    get(_, name) {
      const known = bound.get(name);
      if (known !== undefined) return known;
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      // Its private fields are the target's own.
      const call = value.bind(target);
      const note = notes[name as keyof T];
      const given = note === undefined ? call : measured(call, note, monotonic);
      bound.set(name, given);
      return given;
    },
  });
}

function measured(call: (...given: unknown[]) => Promise<unknown>, note: (ms: number) => void, now: () => number) {
  return async (...given: unknown[]) => {
    const beganMs = now();
    try {
      return await call(...given);
    } finally {
      note(now() - beganMs);
    }
  };
}
