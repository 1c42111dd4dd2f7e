/** What is round every page: the skip link, the navigation, the theme's switch, the way out. */
import { type ReactNode, useEffect, useRef } from "react";
import { Link, useLocation } from "wouter";
import { navigationFor } from "./navigation.ts";
import { Button } from "./parts/button.tsx";
import { ThemeSwitch } from "./parts/theme-switch.tsx";
import { useSession } from "./session.tsx";

export function Layout({ children }: { readonly children: ReactNode }) {
  const [path] = useLocation();
  const main = useRef<HTMLElement>(null);
  const { caller, who, may, signOut } = useSession();
  const lastPath = useRef(path);
  // A new page is announced and read from its beginning, as after a full load.
  useEffect(() => {
    if (lastPath.current === path) return;
    lastPath.current = path;
    globalThis.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [path]);
  return (
    <div className="layout">
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <header className="top">
        <Link href="/" className="brand">
          <span className="mark" aria-hidden="true" /> passbus
        </Link>
        <span className="environment" title={`${caller.keyId} of ${caller.organisationId}`}>
          <span className="visually-hidden">Signed in as </span>
          {who}
        </span>
        <span className="spring" />
        <ThemeSwitch />
        <Button kind="quiet" onPress={signOut}>
          Sign out
        </Button>
      </header>
      <nav aria-label="Pages" className="pages">
        <ul>
          {navigationFor(may).map(({ href, label, also = [] }) => (
            <li key={href}>
              <Link href={href} aria-current={[href, ...also].some((each) => isHere(path, each)) ? "page" : undefined}>
                {label}
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      <main id="main" ref={main} tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

function isHere(path: string, href: string): boolean {
  return href === "/" ? path === "/" : path === href || path.startsWith(`${href}/`);
}
