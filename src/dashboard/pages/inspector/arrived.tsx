/** One request at a bin: whether its signature holds, and the request as it came. */
import { useMemo, useState } from "react";
import { Link } from "wouter";
import {
  type BinRequest,
  type SignatureCheck,
  SignatureVerdict,
} from "../../../../gen/passbus/v1/inspector_service_pb.js";
import { bytes } from "../../numbers.ts";
import { Badge } from "../../parts/badge.tsx";
import { Body, Headers } from "../../parts/exchange.tsx";
import { useSubscriptionNames } from "../../parts/subscriptions.ts";
import { Ago, Exact } from "../../parts/time.tsx";
import type { Tone } from "../../words.ts";
import { wordsOf } from "./arrived-words.ts";

const VERDICT: Readonly<Record<SignatureVerdict, readonly [name: string, tone: Tone]>> = {
  [SignatureVerdict.UNSPECIFIED]: ["not checked", "calm"],
  [SignatureVerdict.VALID]: ["signature valid", "good"],
  [SignatureVerdict.INVALID]: ["signature invalid", "bad"],
  [SignatureVerdict.UNKNOWN]: ["signature not checked", "calm"],
};

export function Arrived({ request, isOpen }: { readonly request: BinRequest; readonly isOpen: boolean }) {
  const [word, tone] = VERDICT[request.verdict];
  const { type, webhookId, isTest, isReplay } = useMemo(() => wordsOf(request), [request]);
  // What somebody reads stays open when another arrives.
  const [isOpenAtFirst] = useState(isOpen);
  return (
    <details className="attempt" open={isOpenAtFirst}>
      <summary>
        <code>
          {request.method} {request.path}
        </code>{" "}
        {isTest ? <Badge tone="busy">test</Badge> : null} {isReplay ? <Badge tone="busy">replay</Badge> : null}{" "}
        {type === "" ? null : <strong>{type}</strong>} <Badge tone={tone}>{word}</Badge> {bytes(request.body.length)},{" "}
        <Ago at={request.receivedAt} /> {webhookId === "" ? null : <code>{webhookId}</code>}
      </summary>
      <div className="stack attempt-body">
        <dl className="facts">
          <dt>Received</dt>
          <dd>
            <Exact at={request.receivedAt} />
          </dd>
          <dt>From</dt>
          <dd>{request.fromPassbus ? "this passbus" : "the network: anyone could have sent it"}</dd>
          <Subscriptions checks={request.checks} />
          <dt>Answered</dt>
          <dd>{request.statusCode}</dd>
          <dt>Signature</dt>
          <dd>{request.verdictReason || word}</dd>
        </dl>
        <Checks checks={request.checks} />
        <h3>Headers</h3>
        <Headers headers={request.headers} caption="The request’s headers" />
        <h3>Body</h3>
        <Body body={request.body} what={`the body of ${request.id}`} />
      </div>
    </details>
  );
}

/** Whose secrets it was held against. */
function Subscriptions({ checks }: { readonly checks: readonly SignatureCheck[] }) {
  const { nameOf } = useSubscriptionNames();
  const ids = [...new Set(checks.map(({ subscriptionId }) => subscriptionId))].filter((id) => id !== "");
  if (ids.length === 0) return null;
  return (
    <>
      <dt>Subscription</dt>
      <dd>
        {ids.map((id) => (
          <div key={id}>
            <Link href={`/subscriptions/${id}`}>{nameOf(id)}</Link>
          </div>
        ))}
      </dd>
    </>
  );
}

function Checks({ checks }: { readonly checks: readonly SignatureCheck[] }) {
  if (checks.length === 0) return null;
  return (
    <ul className="plain-list stack" aria-label="Signature checks">
      {checks.map(({ header, scheme, verdict, reason, subscriptionId }) => (
        <li key={`${header} ${scheme} ${subscriptionId}`}>
          <Badge tone={VERDICT[verdict][1]}>{VERDICT[verdict][0]}</Badge> <code>{header}</code> {scheme}
          {reason === "" ? "" : `: ${reason}`}
        </li>
      ))}
    </ul>
  );
}
