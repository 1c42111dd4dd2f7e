/** Calls of the API as a gRPC client makes them. */
import { ConnectError, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, type Http2SessionManager } from "@connectrpc/connect-node";

/** Each call carries the key. Without a session of the caller's, connections end when they are idle. */
export function grpcWithKey(baseUrl: string, key: string, sessionManager?: Http2SessionManager): Transport {
  return createGrpcTransport({
    baseUrl,
    ...(sessionManager !== undefined && { sessionManager }),
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${key}`);
        return next(request);
      },
    ],
  });
}

/** What the call fails with. Rejects where it succeeds, and where it fails otherwise than a call does. */
export async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const reason = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(reason instanceof ConnectError)) throw new Error("the call did not fail as a call does", { cause: reason });
  return reason;
}
