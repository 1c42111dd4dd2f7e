/** Which address opens which page. Each page is a script of its own, loaded when it is first opened. */
import { Suspense, useEffect } from "react";
import { Redirect, Route, Switch, useLocation } from "wouter";
import { mayOpen, navigationFor } from "../navigation.ts";
import { useSession } from "../session.tsx";
import { NotFound } from "./not-found.tsx";
import { PageBoundary } from "./page-boundary.tsx";
import { type PageScript, pageScript, prefetch } from "./page-script.tsx";
import { Refused } from "./refused.tsx";

const Overview = pageScript(async () => (await import("./overview/overview.tsx")).Overview);
const Subscriptions = pageScript(async () => (await import("./subscriptions/list.tsx")).SubscriptionList);
const NewSubscription = pageScript(async () => (await import("./subscriptions/create.tsx")).CreateSubscription);
const Subscription = pageScript(async () => (await import("./subscriptions/detail.tsx")).SubscriptionDetail);
const EditSubscription = pageScript(async () => (await import("./subscriptions/edit.tsx")).EditSubscription);
const Access = pageScript(async () => (await import("./access/access.tsx")).Access);
const Deliveries = pageScript(async () => (await import("./deliveries/log.tsx")).DeliveryLog);
const Delivery = pageScript(async () => (await import("./deliveries/detail.tsx")).DeliveryDetail);
const Replays = pageScript(async () => (await import("./replays/list.tsx")).ReplayList);
const Replay = pageScript(async () => (await import("./replays/detail.tsx")).ReplayDetail);
const Events = pageScript(async () => (await import("./events/log.tsx")).EventLog);
const Event = pageScript(async () => (await import("./events/detail.tsx")).EventDetail);
const Pass = pageScript(async () => (await import("./events/pass.tsx")).PassStory);
const DeadLetters = pageScript(async () => (await import("./dead-letters/list.tsx")).DeadLetterList);
const Bins = pageScript(async () => (await import("./inspector/list.tsx")).BinList);
const Bin = pageScript(async () => (await import("./inspector/bin.tsx")).BinDetail);

/** With an address of each, by which it is known who may open it. */
const SCRIPTS: readonly (readonly [path: string, script: PageScript<never>])[] = [
  ["/", Overview],
  ["/deliveries", Deliveries],
  ["/deliveries/:id", Delivery],
  ["/subscriptions", Subscriptions],
  ["/subscriptions/:id", Subscription],
  ["/subscriptions/new", NewSubscription],
  ["/subscriptions/:id/edit", EditSubscription],
  ["/events", Events],
  ["/events/:id", Event],
  ["/passes/:id", Pass],
  ["/dead-letters", DeadLetters],
  ["/replays", Replays],
  ["/replays/:id", Replay],
  ["/inspector", Bins],
  ["/inspector/:id", Bin],
  ["/access", Access],
];

/** Once the first page is there, the others are loaded: no later one fails because passbus restarts just then. */
function usePrefetch(path: string): void {
  const { may } = useSession();
  // biome-ignore lint/correctness/useExhaustiveDependencies: what failed is tried again with each page that is opened.
  useEffect(() => {
    const stop = new AbortController();
    const wanted = SCRIPTS.filter(([each]) => mayOpen(each, may)).map(([, script]) => script);
    // The page itself says so where it is opened and is not there.
    prefetch(wanted, stop.signal).catch(() => {});
    return () => stop.abort();
  }, [may, path]);
}

/** A portal session sees its entity, and so nothing of the overview. */
function Home() {
  const { isPortal, may } = useSession();
  if (mayOpen("/", may)) return <Overview />;
  return <Redirect to={isPortal ? "/subscriptions" : (navigationFor(may)[0]?.href ?? "/subscriptions")} replace />;
}

export function Pages() {
  const { may } = useSession();
  const [path] = useLocation();
  usePrefetch(path);
  if (path !== "/" && !mayOpen(path, may)) return <Refused />;
  return (
    <PageBoundary path={path}>
      <Suspense fallback={<p className="loading">Loading the page …</p>}>
        <Switch>
          <Route path="/" component={Home} />
          <Route path="/subscriptions" component={Subscriptions} />
          <Route path="/subscriptions/new" component={NewSubscription} />
          <Route path="/subscriptions/:id">{({ id }) => <Subscription key={id} id={id} />}</Route>
          <Route path="/subscriptions/:id/edit">{({ id }) => <EditSubscription key={id} id={id} />}</Route>
          <Route path="/deliveries" component={Deliveries} />
          <Route path="/deliveries/:id">{({ id }) => <Delivery key={id} id={id} />}</Route>
          <Route path="/replays" component={Replays} />
          <Route path="/replays/:id">{({ id }) => <Replay key={id} id={id} />}</Route>
          <Route path="/events" component={Events} />
          <Route path="/events/:id">{({ id }) => <Event key={id} />}</Route>
          <Route path="/passes/:id">{({ id }) => <Pass key={id} />}</Route>
          <Route path="/dead-letters" component={DeadLetters} />
          <Route path="/inspector" component={Bins} />
          <Route path="/inspector/:id">{({ id }) => <Bin key={id} id={id} />}</Route>
          <Route path="/access">{() => <Access tab="" />}</Route>
          <Route path="/access/:tab">{({ tab }) => <Access tab={tab} />}</Route>
          <Route component={NotFound} />
        </Switch>
      </Suspense>
    </PageBoundary>
  );
}
