import { Page } from "../parts/page.tsx";
import { useSession } from "../session.tsx";
import { NotFound } from "./not-found.tsx";

/** For who may make none of a page's calls. Of a portal session's customer nobody says what else there is. */
export function Refused() {
  const { isPortal, who } = useSession();
  if (isPortal) return <NotFound />;
  return (
    <Page title="Not for this key">
      <p>
        This key, {who}, may not read what is on this page. Sign in with one that may: the roles are listed in
        docs/access.md.
      </p>
    </Page>
  );
}
