/** One bin: its URL, and the requests as they arrive. */
import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { type Bin, type BinRequest, InspectorService } from "../../../../gen/passbus/v1/inspector_service_pb.js";
import { SubscriptionService } from "../../../../gen/passbus/v1/subscription_service_pb.js";
import { count } from "../../numbers.ts";
import { addressOf } from "../../parts/address.ts";
import { Button, ButtonLink } from "../../parts/button.tsx";
import { CopyText } from "../../parts/copy.tsx";
import { Confirm } from "../../parts/dialog.tsx";
import { Empty, Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { Exact } from "../../parts/time.tsx";
import { useReadAgain } from "../../read-again.ts";
import { type LiveState, useClient, useLive } from "../../rpc.ts";
import { Arrived } from "./arrived.tsx";

/** Requests on the page; older ones are let go. */
const SHOWN = 100;
const LIST = InspectorService.method.listBinRequests;

export function BinDetail({ id }: { readonly id: string }) {
  const { data, error, refetch } = useQuery(InspectorService.method.getBin, { binId: id });
  const isGone = error !== null && ConnectError.from(error).code === Code.NotFound;
  const bin = data?.bin;
  return (
    <Page title="Bin" lead={<code>{id}</code>} actions={bin === undefined ? undefined : <Actions bin={bin} />}>
      {isGone ? <Gone /> : null}
      {error !== null && !isGone ? (
        <Failure error={error} doing={`read the bin ${id}`} onRetry={() => void refetch()} />
      ) : null}
      {bin === undefined && error === null ? <Loading what="the bin" /> : null}
      {bin === undefined || isGone ? null : (
        <>
          <Section title="Its URL">
            <Facts bin={bin} />
          </Section>
          <Requests bin={bin} />
        </>
      )}
    </Page>
  );
}

function Gone() {
  return (
    <Empty title="There is no such bin">
      <p>It has expired, or was deleted, with what had arrived.</p>
      <Link href="/inspector" className="button primary">
        Make a new one
      </Link>
    </Empty>
  );
}

function Facts({ bin }: { readonly bin: Bin }) {
  return (
    <>
      <p>
        <CopyText text={bin.url} what="the bin’s URL" />
      </p>
      <dl className="facts">
        <dt>Answers</dt>
        <dd>{bin.statusCode} to any request of anyone who knows the URL</dd>
        <dt>Made</dt>
        <dd>
          <Exact at={bin.createdAt} />
        </dd>
        <dt>Expires</dt>
        <dd>
          <Exact at={bin.expiresAt} />
        </dd>
      </dl>
    </>
  );
}

function Actions({ bin }: { readonly bin: Bin }) {
  const client = useClient(InspectorService);
  const queries = useQueryClient();
  const [, navigate] = useLocation();
  const [isDeleting, setDeleting] = useState(false);
  const run = async () => {
    await client.deleteBin({ binId: bin.id });
    navigate("/inspector");
    await queries.invalidateQueries();
  };
  return (
    <>
      <ButtonLink
        href={addressOf("/subscriptions/new", { url: bin.url })}
        kind="primary"
        needs={SubscriptionService.method.createSubscription}
      >
        Use as a subscription’s URL
      </ButtonLink>
      <Button kind="danger" needs={InspectorService.method.deleteBin} onPress={() => setDeleting(true)}>
        Delete
      </Button>
      {isDeleting ? (
        <Confirm
          title="Delete this bin?"
          action="Delete the bin"
          doing="delete the bin"
          done={`Deleted ${bin.id}.`}
          typed={bin.description.replaceAll(/\s+/g, " ").trim() || bin.id}
          danger
          onConfirm={run}
          onClose={() => setDeleting(false)}
        >
          <p>
            <code>{bin.id}</code> goes with all that arrived. A subscription that still points to it is disabled by its
            next delivery.
          </p>
        </Confirm>
      ) : null}
    </>
  );
}

function Requests({ bin }: { readonly bin: Bin }) {
  const { requests, live, error, refetch } = useRequests(bin.id);
  const [held, setHeld] = useState<readonly BinRequest[]>();
  const first = useFirst(requests);
  if (error !== null) return <Failure error={error} doing="list what arrived" onRetry={refetch} />;
  if (requests === undefined) return <Loading what="what arrived" />;
  if (live.kind === "failed" && live.error.code === Code.NotFound) return <Gone />;
  const shown = held ?? requests;
  return (
    <Section title="What arrived">
      <LiveLine requests={requests} live={live} held={held} onHold={setHeld} />
      {shown.length === 0 ? (
        <Empty title="Nothing yet">
          <p>
            Use the URL for a subscription and send a test, or try it from a shell. What arrives appears here by itself.
          </p>
          <CopyText text={`curl -d '{"hello":"bin"}' ${bin.url}`} what="the command" />
        </Empty>
      ) : null}
      <ol className="stack plain-list" aria-label="Requests, the newest first">
        {shown.map((request) => (
          <li key={request.id}>
            <Arrived request={request} isOpen={request.id === first} />
          </li>
        ))}
      </ol>
    </Section>
  );
}

/** The newest of those that were there first: it alone opens by itself, so that what somebody reads stays in its place. */
function useFirst(requests: readonly BinRequest[] | undefined): string | undefined {
  const [first, setFirst] = useState<string>();
  const newest = requests?.[0]?.id;
  if (first === undefined && newest !== undefined) setFirst(newest);
  return first ?? newest;
}

interface LiveLineProps {
  readonly requests: readonly BinRequest[];
  readonly live: LiveState;
  /** What stands on the page while it is paused. */
  readonly held: readonly BinRequest[] | undefined;
  readonly onHold: (held: readonly BinRequest[] | undefined) => void;
}

function LiveLine({ requests, live, held, onHold }: LiveLineProps) {
  const shown = held ?? requests;
  const known = new Set(held?.map(({ id }) => id));
  const unseen = held === undefined ? 0 : requests.filter(({ id }) => !known.has(id)).length;
  const word = live.kind === "live" ? "Live" : "Connecting …";
  return (
    <div className="log-line">
      <span className={held === undefined && live.kind === "live" ? "live now" : "live"}>
        {held === undefined ? word : "Paused"}
      </span>
      <span className="hint">
        {shown.length === SHOWN ? `the newest ${SHOWN} requests` : `${count(shown.length)} requests`}
      </span>
      {unseen === 0 ? null : (
        <Button kind="primary" onPress={() => onHold(requests)}>
          Show {unseen === SHOWN ? `${SHOWN} or more` : count(unseen)} new
        </Button>
      )}
      <span className="spring" />
      <Button kind="quiet" onPress={() => onHold(held === undefined ? requests : undefined)}>
        {held === undefined ? "Pause" : "Go live"}
      </Button>
    </div>
  );
}

/** What had arrived, and what arrives; newest first. */
function useRequests(binId: string) {
  const { data, error, refetch } = useQuery(LIST, { binId, pageSize: SHOWN });
  const readAgain = useReadAgain([LIST]);
  const [told, setTold] = useState<readonly BinRequest[]>([]);
  const live = useLive(InspectorService.method.watchBin, {
    input: { binId },
    onMessage: ({ request }) => {
      if (request !== undefined) setTold((before) => newest([request], before));
    },
    onBegin: readAgain,
  });
  const requests = data === undefined ? undefined : newest(told, data.requests);
  return { requests, live, error, refetch: () => void refetch() };
}

/** The newest of both, each once. Ids sort by the time at which they were made. */
function newest(...lists: readonly (readonly BinRequest[])[]): readonly BinRequest[] {
  const byId = new Map(lists.flat().map((request) => [request.id, request]));
  return [...byId.values()].sort((one, other) => (one.id < other.id ? 1 : -1)).slice(0, SHOWN);
}
