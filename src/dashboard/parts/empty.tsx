import type { ReactNode } from "react";

interface EmptyProps {
  /** What there is none of, as in "No subscriptions yet". */
  readonly title: string;
  /** What to do. */
  readonly children: ReactNode;
}

export function Empty({ title, children }: EmptyProps) {
  return (
    <div className="empty">
      <p>
        <strong>{title}</strong>
      </p>
      {children}
    </div>
  );
}

export function Loading({ what }: { readonly what: string }) {
  return (
    <p className="loading" role="status">
      Loading {what} …
    </p>
  );
}
