/** What a call that failed says: what was tried, what happened, what can be done. */

import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { Button } from "./button.tsx";

export interface Refusal {
  /** passbus's own code, as in docs/errors.md; empty where there is none. */
  readonly code: string;
  readonly message: string;
  /** What is wrong with which field, by the field's path as in "subscription.url". */
  readonly fields: ReadonlyMap<string, string>;
}

/** An error of a call in passbus's words. */
export function refusalOf(reason: unknown): Refusal {
  const error = ConnectError.from(reason);
  const [info] = error.findDetails(ErrorInfoSchema);
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return {
    code: info?.reason ?? "",
    message: error.rawMessage,
    fields: new Map(violations.map(({ field, description }) => [field, description])),
  };
}

/** What to do about it, where that is known. */
function adviceFor(code: Code): string | undefined {
  switch (code) {
    case Code.PermissionDenied:
      return "Sign in with a key whose role may do this: a viewer reads, a subscriber manages endpoints, an operator does all but keys and audit, an admin all.";
    case Code.Unavailable:
    case Code.Unknown:
      return "passbus does not answer, or its store doesn’t. It is worth trying again.";
    case Code.Unimplemented:
      return "This passbus is older than its dashboard, or was built without this part.";
    case Code.ResourceExhausted:
      return "A limit is reached: wait, or raise it under Access.";
    default:
      return undefined;
  }
}

interface FailureProps {
  readonly error: unknown;
  /** What was tried, as in "list the deliveries". */
  readonly doing: string;
  readonly onRetry?: () => void;
}

export function Failure({ error, doing, onRetry }: FailureProps) {
  const { code, message } = refusalOf(error);
  const advice = adviceFor(ConnectError.from(error).code);
  return (
    <div className="failure" role="alert">
      <p>
        <strong>Could not {doing}.</strong> {message}
        {code === "" ? null : (
          <>
            {" "}
            <code>{code}</code>
          </>
        )}
      </p>
      {advice === undefined ? null : <p>{advice}</p>}
      {onRetry === undefined ? null : <Button onPress={onRetry}>Try again</Button>}
    </div>
  );
}
