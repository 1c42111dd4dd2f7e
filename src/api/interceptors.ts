/** What every call passes between its body and its handler. */
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Clock } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Log } from "../kernel/log.ts";
import { outgoingError } from "./errors.ts";

/** Whatever a handler throws leaves as a ConnectError; what is passbus's own fault is logged and stays unsaid. */
export function codedErrors(log: Log): Interceptor {
  return (next) => async (request) => {
    const coded = (reason: unknown) => {
      const method = `${request.service.typeName}/${request.method.name}`;
      return outgoingError(reason, (cause) => log.error("api.call_failed", { method, err: cause }));
    };
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: codedMessages(response.message, coded) } : response;
    } catch (reason) {
      throw coded(reason);
    }
  };
}

/** A stream's handler runs while its messages are read, long after the call of it has returned. */
async function* codedMessages<T>(messages: AsyncIterable<T>, coded: (reason: unknown) => Error): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (reason) {
    throw coded(reason);
  }
}

/** A unary call is answered by its deadline, the caller's or ours, also where the work behind it goes on. */
export function deadlines(clock: Clock): Interceptor {
  return (next) => async (request) => {
    if (request.stream) return next(request);
    const { promise: expired, reject } = Promise.withResolvers<never>();
    const expire = () => {
      const message = `the call was not answered within ${LIMITS.requestDeadlineMs} ms`;
      reject(new ConnectError(message, Code.DeadlineExceeded));
    };
    const aborted = () => reject(ConnectError.from(request.signal.reason, Code.Canceled));
    const cancel = clock.after(LIMITS.requestDeadlineMs, expire);
    request.signal.addEventListener("abort", aborted, { once: true });
    try {
      return await Promise.race([next(request), expired]);
    } finally {
      cancel();
      request.signal.removeEventListener("abort", aborted);
    }
  };
}
