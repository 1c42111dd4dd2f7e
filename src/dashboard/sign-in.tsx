/** The way in: a key, pasted. The page that the address names opens behind it. */
import { Code, ConnectError } from "@connectrpc/connect";
import { type FormEvent, useId, useState } from "react";
import type { Caller } from "../../gen/passbus/v1/access_service_pb.js";
import { useEmbeddingToken } from "./embedding.ts";
import { navigationFor } from "./navigation.ts";
import { Button } from "./parts/button.tsx";
import { Failure } from "./parts/failure.tsx";
import { ThemeSwitch } from "./parts/theme-switch.tsx";
import { callerOf, permissionsOf } from "./session.tsx";

interface Props {
  /** Why one is here again. */
  readonly notice: string | undefined;
  readonly onSignIn: (token: string, caller: Caller) => void;
}

/** What can be said without asking passbus. */
function refusalOf(token: string): string | undefined {
  if (token === "") return "Paste a key first.";
  // A header's value has no room for anything else.
  if (!/^[\x21-\x7e]+$/.test(token))
    return "A key has no blanks and no letters beyond ASCII: part of it may be missing.";
  return undefined;
}

export function SignIn({ notice, onSignIn }: Props) {
  const [token, setToken] = useState("");
  const [refusal, setRefusal] = useState<string>();
  const [failure, setFailure] = useState<ConnectError>();
  const [busy, setBusy] = useState(false);
  const id = useId();

  const submit = async (given: string) => {
    const text = given.trim();
    const wrong = refusalOf(text);
    setRefusal(wrong);
    setFailure(undefined);
    if (wrong !== undefined) return;
    setBusy(true);
    try {
      const caller = await callerOf(text);
      if (navigationFor(permissionsOf(caller)).length > 0) return onSignIn(text, caller);
      setBusy(false);
      setRefusal("This key may publish events, but not read: use another.");
    } catch (reason) {
      const error = ConnectError.from(reason);
      setBusy(false);
      if (error.code === Code.Unauthenticated) setRefusal("passbus does not know this key, or it has expired.");
      else setFailure(error);
    }
  };
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    void submit(token);
  };
  useEmbeddingToken((given) => void submit(given));
  return (
    <main className="sign-in">
      <title>Sign in · passbus</title>
      <form onSubmit={onSubmit} className="panel stack">
        <h1>
          <span className="mark" aria-hidden="true" /> passbus
        </h1>
        {notice === undefined ? null : <p role="alert">{notice}</p>}
        <div className="field">
          <label htmlFor={id}>Key</label>
          <input
            id={id}
            type="password"
            autoComplete="off"
            spellCheck={false}
            placeholder="pb_production_…"
            value={token}
            aria-invalid={refusal !== undefined}
            aria-describedby={`${id}-hint ${id}-error`}
            onChange={(event) => setToken(event.target.value)}
          />
          <p id={`${id}-error`} className="field-error" role="alert">
            {refusal}
          </p>
          <p id={`${id}-hint`} className="hint">
            The key stays in this page’s memory alone: not in its address, not in the browser’s storage. After a reload
            you paste it again. <code>passbus keys create --role viewer</code> makes one; a first start and{" "}
            <code>npm run demo</code> print one.
          </p>
        </div>
        {failure === undefined ? null : <Failure error={failure} doing="sign in" />}
        <Button type="submit" kind="primary" busy={busy}>
          Sign in
        </Button>
      </form>
      <ThemeSwitch />
    </main>
  );
}
