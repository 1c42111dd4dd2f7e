/** The navigation's entries, in order. `portal`: a portal session may use the page too. */
interface Entry {
  readonly href: string;
  readonly label: string;
  readonly portal: boolean;
  /** Where else the reader is in this part. */
  readonly also?: readonly string[];
}

/** Whether a portal session has no use for the page, however it got there. */
export function isBarredFromPortal(path: string): boolean {
  return NAVIGATION.some(
    ({ href, portal }) => !portal && href !== "/" && (path === href || path.startsWith(`${href}/`)),
  );
}

export const NAVIGATION: readonly Entry[] = [
  { href: "/", label: "Overview", portal: false },
  { href: "/deliveries", label: "Deliveries", portal: true, also: ["/replays"] },
  { href: "/subscriptions", label: "Subscriptions", portal: true },
  { href: "/events", label: "Events", portal: true, also: ["/passes", "/dead-letters"] },
  { href: "/inspector", label: "Inspector", portal: false },
  { href: "/access", label: "Access", portal: false },
];
