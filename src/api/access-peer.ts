/** Where a call comes from. */
import { type ContextValues, createContextKey } from "@connectrpc/connect";
import { peerAddress } from "../access/peer.ts";
import type { Connection } from "./connections.ts";

/** The connection, where there is one: a call in a test may have none. */
export const connectionKey = createContextKey<Connection | undefined>(undefined, { description: "connection" });

const peerKey = createContextKey("", { description: "peer" });

/** Empty where the connection is gone. */
export function addressOf({ socket }: Pick<Connection, "socket">): string {
  return peerAddress(socket.remoteAddress ?? "");
}

/** To be called before the call is handled, while its connection is known. */
export function rememberPeer(connection: Connection, values: ContextValues): void {
  values.set(peerKey, addressOf(connection));
}

/** The address of the connection; empty where it was gone before anybody looked. */
export function peerOf(context: { readonly values: ContextValues }): string {
  return context.values.get(peerKey);
}
