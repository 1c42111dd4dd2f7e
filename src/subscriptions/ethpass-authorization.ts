/**
 * The static `authorization` of an ETHPASS subscription (seed 001): written through the API, sealed in the store, sent
 * with every webhook, and shown never, so that a change must tell "as it was" from "none".
 */
import type { FormatOptions, Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import type { Keyring } from "../signing/keyring.ts";
import { type SecretOwner, sealAuthorization } from "../signing/secrets.ts";
import type { Violations } from "./violations.ts";

const PATH = "format_options.ethpass_authorization";

/** What a request says of it: a new text, that the stored one goes, or nothing. */
export type AuthorizationChange = { readonly text: string } | "remove" | "keep";

/**
 * `text` is the field's value in what is asked for. Only a mask that names the field itself takes a stored one away:
 * `format_options` as a whole may be written back as it was read, where the field is always empty.
 */
export function authorizationChange(text: string, paths: readonly string[] | undefined): AuthorizationChange {
  if (text !== "") return { text };
  return paths?.includes(PATH) === true ? "remove" : "keep";
}

/**
 * A stored one is for the server that it was given for: who may change a URL could else have it sent to a server of his
 * own, and read there what is shown never.
 */
export function refuseMovedAuthorization(
  current: Pick<Subscription, "url" | "formatOptions">,
  next: Pick<Subscription, "url" | "format">,
  change: AuthorizationChange,
  wrong: Violations,
): void {
  const isKept = change === "keep" && formatOf(next.format).sendsAuthorization === true;
  if (!isKept || current.formatOptions.sealedEthpassAuthorization === undefined) return;
  if (URL.parse(next.url)?.origin === URL.parse(current.url)?.origin) return;
  wrong.add(PATH, "must be given again, or taken away by the mask: the URL moves to another server");
}

/** `options` with what is stored of the authorization after the change. A format that doesn't send it doesn't keep it. */
export function withAuthorization(
  keyring: Keyring,
  owner: SecretOwner,
  { format, formatOptions: options }: Pick<Subscription, "format" | "formatOptions">,
  change: AuthorizationChange,
  stored: string | undefined,
): FormatOptions {
  if (formatOf(format).sendsAuthorization !== true || change === "remove") return options;
  if (change !== "keep") {
    return { ...options, sealedEthpassAuthorization: sealAuthorization(keyring, owner, change.text) };
  }
  return stored === undefined ? options : { ...options, sealedEthpassAuthorization: stored };
}
