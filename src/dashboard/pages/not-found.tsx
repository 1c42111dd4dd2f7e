import { Link } from "wouter";
import { Page } from "../parts/page.tsx";

export function NotFound() {
  return (
    <Page title="No such page">
      <p>
        There is no page at this address. <Link href="/">The first page</Link> and the navigation lead to all there are.
      </p>
    </Page>
  );
}
