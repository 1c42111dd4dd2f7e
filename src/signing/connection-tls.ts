import { hash } from "node:crypto";
import type { ConnectionTls } from "../domain/connection-tls.ts";
import type { EndpointTls, Subscription } from "../domain/subscription.ts";
import type { Keyring } from "./keyring.ts";
import { openClientKey } from "./secrets.ts";

export type ConnectionTlsOf = (subscription: Pick<Subscription, "tenant" | "id" | "tls">) => ConnectionTls | undefined;

/**
 * What a subscription's connections trust and show; undefined for the many that name nothing. Opened once for each
 * version that is in memory, and forgotten with it. @throws CodedError as `Keyring.open` does.
 */
export function connectionTls(keyring: Keyring): ConnectionTlsOf {
  const opened = new WeakMap<EndpointTls, ConnectionTls>();
  return (subscription) => {
    const { tls } = subscription;
    if (tls === undefined) return undefined;
    const known = opened.get(tls);
    if (known !== undefined) return known;
    const { caCertificates: ca, client } = tls;
    const made: ConnectionTls = {
      id: hash("sha256", JSON.stringify([ca, client])),
      ...(ca === undefined ? {} : { ca }),
      ...(client === undefined
        ? {}
        : {
            client: { certificates: client.certificates, key: openClientKey(keyring, subscription, client.sealedKey) },
          }),
    };
    opened.set(tls, made);
    return made;
  };
}
