/** Who may: keys, portal sessions, limits and the kill switch, the audit log. */
import { Link } from "wouter";
import { Page } from "../../parts/page.tsx";
import { NotFound } from "../not-found.tsx";
import { AuditLog } from "./audit.tsx";
import { Keys } from "./keys.tsx";
import { Limits } from "./limits.tsx";
import { Sessions } from "./sessions.tsx";

const TABS = [
  { path: "keys", label: "Keys", Content: Keys },
  { path: "sessions", label: "Portal sessions", Content: Sessions },
  { path: "limits", label: "Limits and switch", Content: Limits },
  { path: "audit", label: "Audit log", Content: AuditLog },
] as const;

export function Access({ tab }: { readonly tab: string }) {
  const open = TABS.find(({ path }) => path === tab);
  if (open === undefined) return <NotFound />;
  return (
    <Page title={`Access: ${open.label.toLowerCase()}`}>
      <nav aria-label="Access" className="tabs">
        {TABS.map(({ path, label }) => (
          <Link key={path} href={`/access/${path}`} aria-current={path === tab ? "page" : undefined}>
            {label}
          </Link>
        ))}
      </nav>
      <open.Content />
    </Page>
  );
}
