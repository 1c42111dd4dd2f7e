/** Who may: keys, portal sessions, limits and the kill switch, the audit log. */
import { Link, Redirect } from "wouter";
import { mayOpen } from "../../navigation.ts";
import { Page } from "../../parts/page.tsx";
import { useSession } from "../../session.tsx";
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

/** The tab that the address names; empty: the first that there is for the caller. */
export function Access({ tab }: { readonly tab: string }) {
  const { may } = useSession();
  const tabs = TABS.filter(({ path }) => mayOpen(`/access/${path}`, may));
  const [first] = tabs;
  if (tab === "" && first !== undefined) return <Redirect to={`/access/${first.path}`} replace />;
  const open = TABS.find(({ path }) => path === tab);
  if (open === undefined) return <NotFound />;
  return (
    <Page title={`Access: ${open.label.toLowerCase()}`}>
      <nav aria-label="Access" className="tabs">
        {tabs.map(({ path, label }) => (
          <Link key={path} href={`/access/${path}`} aria-current={path === tab ? "page" : undefined}>
            {label}
          </Link>
        ))}
      </nav>
      <open.Content />
    </Page>
  );
}
