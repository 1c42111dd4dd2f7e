/**
 * Who is signed in: a key, or a portal session's token, in this page's memory alone. It is in no URL, cookie or storage
 * of the browser, so that a reload, a new tab, or somebody at the machine later has to sign in again.
 */
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { TransportProvider } from "@connectrpc/connect-query";
import { createConnectTransport } from "@connectrpc/connect-web";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createContext, type ReactNode, use, useMemo, useState } from "react";
import { AccessService, type Caller, Role } from "../../gen/passbus/v1/access_service_pb.js";
import { clientFor } from "./rpc.ts";

interface Session {
  readonly caller: Caller;
  readonly isPortal: boolean;
  /** "viewer in production". */
  readonly who: string;
  /** Whether passbus lets the caller into the call: the one thing that decides what is offered. */
  readonly may: (method: DescMethod) => boolean;
  readonly signOut: () => void;
}

const SessionContext = createContext<Session | undefined>(undefined);

export function useSession(): Session {
  const session = use(SessionContext);
  if (session === undefined) throw new Error("useSession outside of the signed-in part");
  return session;
}

/**
 * Why the caller may not make the call, in a sentence; undefined where they may. Empty of a portal session: its customer
 * is not told what others may do.
 */
export function useRefusal(method: DescMethod | undefined): string | undefined {
  const session = use(SessionContext);
  if (method === undefined || session === undefined || session.may(method)) return undefined;
  return session.isPortal ? "" : `This key, ${session.who}, may not do this.`;
}

/**
 * The longest that an answer may take; a test send takes 30 s. Of a connection that is gone without a word a browser says
 * nothing, and calls that wait on it for good would hold all of the six that there are to a server.
 */
const ANSWER_MS = 45_000;

/** Calls over Connect with the token in the `authorization` header. `onRefused` is told when it counts no longer. */
export function transportWith(token: string, onRefused?: () => void): Transport {
  const authorize: Interceptor = (next) => async (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    const refuse = (error: unknown): never => {
      if (ConnectError.from(error).code === Code.Unauthenticated) onRefused?.();
      throw error;
    };
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: failing(response.message, refuse) } : response;
    } catch (error) {
      return refuse(error);
    }
  };
  const { unary, stream } = createConnectTransport({
    baseUrl: globalThis.location.origin,
    useBinaryFormat: true,
    interceptors: [authorize],
  });
  return {
    unary: (method, signal, timeoutMs = ANSWER_MS, ...rest) => unary(method, signal, timeoutMs, ...rest),
    stream,
  };
}

/** A stream is refused in the middle of its messages, and over Connect-Web never before them. */
async function* failing<T>(messages: AsyncIterable<T>, refuse: (error: unknown) => never): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    refuse(error);
  }
}

/** Whose the token is. Rejects with passbus's own refusal where it is nobody's. */
export async function callerOf(token: string): Promise<Caller> {
  const { caller } = await clientFor(AccessService, transportWith(token)).getCaller({});
  if (caller === undefined) throw new ConnectError("passbus did not say whose key this is", Code.Internal);
  return caller;
}

/** What a caller may, held against the methods' descriptors. */
export function permissionsOf({ methods }: Pick<Caller, "methods">): Session["may"] {
  const names = new Set(methods);
  return ({ parent, name }) => names.has(`${parent.typeName}/${name}`);
}

function newQueryClient(): QueryClient {
  const transient = new Set([Code.Unavailable, Code.DeadlineExceeded, Code.Unknown]);
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 2_000,
        retry: (failures, error) => failures < 2 && transient.has(ConnectError.from(error).code),
      },
    },
  });
}

interface SignedInProps {
  readonly token: string;
  readonly caller: Caller;
  /** Of this token: one that came after it stays signed in. */
  readonly onSignOut: (token: string, why?: string) => void;
  readonly children: ReactNode;
}

/** What is inside calls as the token's owner. Nothing that was read is kept for the next one who signs in. */
export function SignedIn({ token, caller, onSignOut, children }: SignedInProps) {
  const [queries] = useState(newQueryClient);
  const transport = useMemo(
    () =>
      transportWith(token, () =>
        onSignOut(token, "This key does not count any longer: it was revoked, or has expired."),
      ),
    [token, onSignOut],
  );
  const session = useMemo<Session>(
    () => ({
      caller,
      isPortal: caller.entityId !== "",
      who: `${caller.entityId === "" ? Role[caller.role].toLowerCase() : "portal"} in ${caller.environment}`,
      may: permissionsOf(caller),
      signOut: () => onSignOut(token),
    }),
    [caller, token, onSignOut],
  );
  return (
    <SessionContext value={session}>
      <TransportProvider transport={transport}>
        <QueryClientProvider client={queries}>{children}</QueryClientProvider>
      </TransportProvider>
    </SessionContext>
  );
}
