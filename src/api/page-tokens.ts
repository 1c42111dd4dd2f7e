/**
 * The page tokens that callers get and give back, sealed. A token names the row that a page ended with, which may be one
 * that the page passed over (a list's `labels` are no store's). Its id and time are nobody's to read, and no caller is to
 * make one up: where a list begins is what an earlier answer said. None is of a row of an entity that the caller doesn't
 * see: a portal session's pages are made of its entity's rows alone, and whether there is a token tells of those alone. A
 * sealed one opens for the tenant and the method that it was made for alone, in every process that has the key.
 */
import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { CodedError } from "../kernel/errors.ts";
import { wrongPageToken } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { Keyring } from "../signing/keyring.ts";
import { principalOf } from "./gate.ts";

/** An id's length is not for the caller either. */
const STEP_CHARACTERS = 96;

/** Which methods are paged, their descriptors say. */
export function pageTokens(keyring: Keyring): Interceptor {
  // Of keys of their own, which every process makes of the keyring's alike.
  const tokens = keyring.derived("page token");
  return (next) => async (request) => {
    if (request.stream || !isPaged(request.method)) return next(request);
    const { tenant } = principalOf({ values: request.contextValues });
    const about = tokenFor(tenant, request.method);
    const given = textIn(request.message, "pageToken");
    if (given !== "") Reflect.set(request.message, "pageToken", opened(tokens, given, about));
    const response = await next(request);
    if (response.stream) return response;
    const token = textIn(response.message, "nextPageToken");
    if (token !== "") Reflect.set(response.message, "nextPageToken", tokens.seal(padded(token), about));
    return response;
  };
}

function isPaged({ input, output }: DescMethod): boolean {
  return input.field.pageToken !== undefined || output.field.nextPageToken !== undefined;
}

function textIn(message: Message, field: string): string {
  const text: unknown = Reflect.get(message, field);
  return typeof text === "string" ? text : "";
}

function tokenFor({ organisation, environment }: Tenant, { parent, name }: DescMethod): string {
  return `page/${organisation}/${environment}/${parent.typeName}/${name}`;
}

const padded = (token: string): string => token.padEnd(Math.ceil(token.length / STEP_CHARACTERS) * STEP_CHARACTERS);

function opened(tokens: Pick<Keyring, "open">, token: string, about: string): string {
  try {
    return tokens.open(token, about).trimEnd();
  } catch (error) {
    if (error instanceof CodedError && error.code.startsWith("keyring.")) throw wrongPageToken();
    throw error;
  }
}
