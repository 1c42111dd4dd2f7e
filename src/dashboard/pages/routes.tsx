/** Which address opens which page. Each page is a script of its own, loaded when it is first opened. */
import { lazy, Suspense } from "react";
import { Redirect, Route, Switch, useLocation } from "wouter";
import { mayOpen, navigationFor } from "../navigation.ts";
import { useSession } from "../session.tsx";
import { NotFound } from "./not-found.tsx";
import { Refused } from "./refused.tsx";

const Overview = lazy(async () => ({ default: (await import("./overview/overview.tsx")).Overview }));
const Subscriptions = lazy(async () => ({ default: (await import("./subscriptions/list.tsx")).SubscriptionList }));
const NewSubscription = lazy(async () => ({
  default: (await import("./subscriptions/create.tsx")).CreateSubscription,
}));
const Subscription = lazy(async () => ({ default: (await import("./subscriptions/detail.tsx")).SubscriptionDetail }));
const EditSubscription = lazy(async () => ({ default: (await import("./subscriptions/edit.tsx")).EditSubscription }));
const Access = lazy(async () => ({ default: (await import("./access/access.tsx")).Access }));
const Deliveries = lazy(async () => ({ default: (await import("./deliveries/log.tsx")).DeliveryLog }));
const Delivery = lazy(async () => ({ default: (await import("./deliveries/detail.tsx")).DeliveryDetail }));
const Replays = lazy(async () => ({ default: (await import("./replays/list.tsx")).ReplayList }));
const Replay = lazy(async () => ({ default: (await import("./replays/detail.tsx")).ReplayDetail }));
const Events = lazy(async () => ({ default: (await import("./events/log.tsx")).EventLog }));
const Event = lazy(async () => ({ default: (await import("./events/detail.tsx")).EventDetail }));
const Pass = lazy(async () => ({ default: (await import("./events/pass.tsx")).PassStory }));
const DeadLetters = lazy(async () => ({ default: (await import("./dead-letters/list.tsx")).DeadLetterList }));
const Bins = lazy(async () => ({ default: (await import("./inspector/list.tsx")).BinList }));
const Bin = lazy(async () => ({ default: (await import("./inspector/bin.tsx")).BinDetail }));

/** A portal session sees its entity, and so nothing of the overview. */
function Home() {
  const { isPortal, may } = useSession();
  if (mayOpen("/", may)) return <Overview />;
  return <Redirect to={isPortal ? "/subscriptions" : (navigationFor(may)[0]?.href ?? "/subscriptions")} replace />;
}

export function Pages() {
  const { may } = useSession();
  const [path] = useLocation();
  if (path !== "/" && !mayOpen(path, may)) return <Refused />;
  return (
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
  );
}
