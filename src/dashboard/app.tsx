/** The dashboard: sign-in, then the layout with the page that the address names. */
import { useCallback, useState } from "react";
import { Layout } from "./layout.tsx";
import { Pages } from "./pages/routes.tsx";
import { Announcer } from "./parts/announcer.tsx";
import { SignedIn } from "./session.tsx";
import { SignIn } from "./sign-in.tsx";

export function App() {
  const [token, setToken] = useState<string>();
  const [notice, setNotice] = useState<string>();
  const signOut = useCallback((why?: string) => {
    setToken(undefined);
    setNotice(why);
  }, []);
  return (
    <Announcer>
      {token === undefined ? (
        <SignIn notice={notice} onSignIn={setToken} />
      ) : (
        <SignedIn key={token} token={token} onSignOut={signOut}>
          <Layout>
            <Pages />
          </Layout>
        </SignedIn>
      )}
    </Announcer>
  );
}
