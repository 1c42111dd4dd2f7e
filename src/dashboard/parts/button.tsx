import type { DescMethod } from "@bufbuild/protobuf";
import { type ReactNode, useId } from "react";
import { Link } from "wouter";
import { useRefusal } from "../session.tsx";
import { useAnnounce } from "./announcer.tsx";

type Kind = "primary" | "plain" | "quiet" | "danger";

interface ButtonProps {
  readonly kind?: Kind;
  readonly type?: "button" | "submit";
  /** At work: it says so, keeps the focus, and can't be pressed again. */
  readonly busy?: boolean;
  readonly isDisabled?: boolean;
  /** The call that it ends in: for who may not make it, it is there and says why it does nothing, or is not there. */
  readonly needs?: DescMethod;
  readonly onPress?: () => void;
  /** Where the text alone doesn't say what it is about; begins with the text (WCAG 2.5.3). */
  readonly label?: string;
  readonly children: ReactNode;
}

export function Button(props: ButtonProps) {
  const { kind = "plain", type = "button", busy = false, isDisabled = false, needs, onPress, label, children } = props;
  const refusal = useRefusal(needs);
  if (refusal !== undefined) return <Refused {...{ kind, label, refusal }}>{children}</Refused>;
  return (
    <button
      type={type}
      className={`button ${kind}`}
      aria-label={label}
      // Not `disabled`, which would take the focus away from who has just pressed it.
      aria-disabled={busy ? true : undefined}
      disabled={isDisabled}
      onClick={(event) => {
        if (busy) event.preventDefault();
        else onPress?.();
      }}
    >
      {children}
      {busy ? <span className="spinner" aria-hidden="true" /> : null}
    </button>
  );
}

interface ButtonLinkProps {
  readonly href: string;
  readonly kind?: Kind;
  /** The call that the page behind it is for; as a button's. */
  readonly needs: DescMethod;
  readonly children: ReactNode;
}

/** A link that looks like a button. */
export function ButtonLink({ href, kind = "plain", needs, children }: ButtonLinkProps) {
  const refusal = useRefusal(needs);
  if (refusal !== undefined) return <Refused {...{ kind, refusal }}>{children}</Refused>;
  return (
    <Link href={href} className={`button ${kind}`}>
      {children}
    </Link>
  );
}

interface RefusedProps {
  readonly kind: Kind;
  readonly label?: string | undefined;
  /** Empty: nothing is to be seen of it. */
  readonly refusal: string;
  readonly children: ReactNode;
}

/** It can be come to by the keyboard, so that everybody learns why; pressed, it says so aloud. */
function Refused({ kind, label, refusal, children }: RefusedProps) {
  const announce = useAnnounce();
  const id = useId();
  if (refusal === "") return null;
  return (
    <>
      <button
        type="button"
        className={`button ${kind}`}
        aria-label={label}
        aria-disabled="true"
        aria-describedby={id}
        title={refusal}
        onClick={() => announce(refusal)}
      >
        {children}
      </button>
      <span id={id} hidden>
        {refusal}
      </span>
    </>
  );
}
