import type { ReactNode } from "react";

interface PageProps {
  /** The heading, and the document's title. */
  readonly title: string;
  /** A sentence under the heading. */
  readonly lead?: ReactNode;
  /** Buttons and links at the heading's right. */
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

export function Page({ title, lead, actions, children }: PageProps) {
  return (
    <div className="page">
      <title>{`${title} · passbus`}</title>
      <div className="page-head">
        <h1>{title}</h1>
        {actions === undefined ? null : <div className="actions">{actions}</div>}
      </div>
      {lead === undefined ? null : <div className="lead">{lead}</div>}
      {children}
    </div>
  );
}

interface SectionProps {
  readonly title: string;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

/** A panel with a heading of the second rank. */
export function Section({ title, actions, children }: SectionProps) {
  return (
    <section className="panel stack">
      <div className="section-head">
        <h2>{title}</h2>
        {actions === undefined ? null : <div className="actions">{actions}</div>}
      </div>
      {children}
    </section>
  );
}
