/** The dashboard: sign-in, then the layout with the page that the address names. */
import { useCallback, useState } from "react";
import type { Caller } from "../../gen/passbus/v1/access_service_pb.js";
import { Changes } from "./changes.tsx";
import { Layout } from "./layout.tsx";
import { Pages } from "./pages/routes.tsx";
import { Announcer } from "./parts/announcer.tsx";
import { SignedIn } from "./session.tsx";
import { SignIn } from "./sign-in.tsx";

export function App() {
  const [signedIn, setSignedIn] = useState<{ readonly token: string; readonly caller: Caller }>();
  const [notice, setNotice] = useState<string>();
  // An answer to a call of before may come after another one has signed in: it is of no concern to them.
  const signOut = useCallback((token: string, why?: string) => {
    setSignedIn((now) => (now?.token === token ? undefined : now));
    setNotice(why);
  }, []);
  return (
    <Announcer>
      {signedIn === undefined ? (
        <SignIn notice={notice} onSignIn={(token, caller) => setSignedIn({ token, caller })} />
      ) : (
        <SignedIn key={signedIn.token} {...signedIn} onSignOut={signOut}>
          <Layout>
            <Changes>
              <Pages />
            </Changes>
          </Layout>
        </SignedIn>
      )}
    </Announcer>
  );
}
