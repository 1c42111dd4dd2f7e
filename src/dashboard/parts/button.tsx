import type { ReactNode } from "react";

interface ButtonProps {
  readonly kind?: "primary" | "plain" | "quiet" | "danger";
  readonly type?: "button" | "submit";
  /** At work: it says so, keeps the focus, and can't be pressed again. */
  readonly busy?: boolean;
  readonly isDisabled?: boolean;
  readonly onPress?: () => void;
  /** Where the text alone doesn't say what it is about; begins with the text (WCAG 2.5.3). */
  readonly label?: string;
  readonly children: ReactNode;
}

export function Button(props: ButtonProps) {
  const { kind = "plain", type = "button", busy = false, isDisabled = false, onPress, label, children } = props;
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
