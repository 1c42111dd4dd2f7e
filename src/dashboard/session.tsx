/**
 * Who is signed in: a key, or a portal session's token, in this page's memory alone. It is in no URL, cookie or storage
 * of the browser, so that a reload, a new tab, or somebody at the machine later has to sign in again.
 */
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { TransportProvider } from "@connectrpc/connect-query";
import { createConnectTransport } from "@connectrpc/connect-web";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createContext, type ReactNode, use, useMemo, useState } from "react";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { clientFor } from "./rpc.ts";

interface Session {
  /** "production" of "pb_production_…"; undefined where the key's text doesn't say. */
  readonly environment: string | undefined;
  readonly isPortal: boolean;
  readonly signOut: () => void;
}

const SessionContext = createContext<Session | undefined>(undefined);

export function useSession(): Session {
  const session = use(SessionContext);
  if (session === undefined) throw new Error("useSession outside of the signed-in part");
  return session;
}

/** Calls over Connect with the token in the `authorization` header. `onRefused` is told when it counts no longer. */
export function transportWith(token: string, onRefused?: () => void): Transport {
  const authorize: Interceptor = (next) => async (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    try {
      return await next(request);
    } catch (error) {
      if (ConnectError.from(error).code === Code.Unauthenticated) onRefused?.();
      throw error;
    }
  };
  return createConnectTransport({
    baseUrl: globalThis.location.origin,
    useBinaryFormat: true,
    interceptors: [authorize],
  });
}

/** Rejects with passbus's own refusal where the token is none that may read. */
export async function checkToken(token: string): Promise<void> {
  await clientFor(SubscriptionService, transportWith(token)).listSubscriptions({ pageSize: 1 });
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
  readonly onSignOut: (why?: string) => void;
  readonly children: ReactNode;
}

/** What is inside calls as the token's owner. Nothing that was read is kept for the next one who signs in. */
export function SignedIn({ token, onSignOut, children }: SignedInProps) {
  const [queries] = useState(newQueryClient);
  const transport = useMemo(
    () => transportWith(token, () => onSignOut("This key does not count any longer: it was revoked, or has expired.")),
    [token, onSignOut],
  );
  const session = useMemo<Session>(
    () => ({
      environment: /^pbs?_([a-z0-9-]+)_/.exec(token)?.[1],
      isPortal: token.startsWith("pbs_"),
      signOut: () => onSignOut(),
    }),
    [token, onSignOut],
  );
  return (
    <SessionContext value={session}>
      <TransportProvider transport={transport}>
        <QueryClientProvider client={queries}>{children}</QueryClientProvider>
      </TransportProvider>
    </SessionContext>
  );
}
