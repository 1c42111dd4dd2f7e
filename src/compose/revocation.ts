/** The revocation lists of clients' certificates: their authorities write them anew, and passbus goes on. */
import { readRevocationLists, type TlsTexts } from "../config/refusals.ts";
import type { Clock } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";

const LOOK_EVERY_MS = 5_000;

export interface RevocationDeps {
  /** What the port was opened with. */
  readonly tls: TlsTexts;
  /** The file of PASSBUS_TLS_CLIENT_CRL. */
  readonly path: string;
  readonly replace: (tls: TlsTexts) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Hands the lists on whenever their file says something else. Where it can't be read, or is no list, those that were read
 * before hold: until their own next update, after which no certificate counts. The returned function ends it.
 */
export function watchRevocation({ tls, path, replace, clock, log }: RevocationDeps): () => void {
  let known = tls.clientCrls ?? [];
  let failure = "";
  let cancel = () => {};
  const look = () => {
    cancel = clock.after(LOOK_EVERY_MS, look);
    try {
      const lists = readRevocationLists(path);
      failure = "";
      if (lists.length === known.length && lists.every((list, at) => list === known[at])) return;
      replace({ ...tls, clientCrls: lists });
      known = lists;
      log.info("tls.revocation_read", { lists: lists.length });
    } catch (err) {
      // Once for each thing that is wrong with it.
      const message = String(err);
      if (message !== failure) log.error("tls.revocation_unreadable", { err });
      failure = message;
    }
  };
  cancel = clock.after(LOOK_EVERY_MS, look);
  return () => cancel();
}
