/** The embedded deployment of a suite: a passbus with a data directory of its own, and a receiver beside it. */
import { DataDirectory, RunningPassbus } from "./passbus.ts";
import { Sink } from "./sink.ts";

/** All of it ends, and the directory goes, with its disposal. */
export interface Embedded extends AsyncDisposable {
  readonly passbus: RunningPassbus;
  readonly sink: Sink;
}

/** Resolves when passbus is ready. `settings` are environment variables over those that tests need. */
export async function startEmbedded(settings: Readonly<Record<string, string>> = {}): Promise<Embedded> {
  await using begun = new AsyncDisposableStack();
  const sink = begun.use(await Sink.start());
  const { path } = begun.use(new DataDirectory());
  const passbus = begun.use(await RunningPassbus.start(path, settings));
  const whole = begun.move();
  return { passbus, sink, [Symbol.asyncDispose]: () => whole.disposeAsync() };
}
