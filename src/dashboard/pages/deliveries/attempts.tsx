/** Each HTTP request of a delivery and what came of it. What a receiver sent is shown as text. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { useState } from "react";
import {
  type Attempt,
  type ConnectionPhases,
  type Delivery,
  DeliveryStatus,
} from "../../../../gen/passbus/v1/delivery_pb.js";
import { bytes, count, duration, durationToMs } from "../../numbers.ts";
import { Badge } from "../../parts/badge.tsx";
import { CopyText } from "../../parts/copy.tsx";
import { Empty } from "../../parts/empty.tsx";
import { Body, Headers } from "../../parts/exchange.tsx";
import { Exact } from "../../parts/time.tsx";
import { useOpenBreaker } from "./held-back.tsx";
import { answerOf } from "./row.ts";

export function Attempts({ delivery }: { readonly delivery: Delivery }) {
  const { attempts, attemptCount, status } = delivery;
  const breaker = useOpenBreaker(delivery);
  if (attempts.length === 0) {
    return <Empty title="No attempt yet">{whyNone(status, breaker !== undefined)}</Empty>;
  }
  const left = attemptCount - attempts.length;
  return (
    <div className="stack">
      {left > 0 ? (
        <p className="hint">
          {count(attemptCount)} attempts in all: the first and the last {attempts.length - 1} are kept.
        </p>
      ) : null}
      {attempts
        .map((attempt, at) => (
          <OneAttempt
            key={attempt.id}
            attempt={attempt}
            number={at === 0 ? 1 : attemptCount - (attempts.length - 1 - at)}
            waitedMs={waitBefore(delivery, at)}
            isOpen={at === attempts.length - 1}
          />
        ))
        .reverse()}
    </div>
  );
}

function whyNone(status: DeliveryStatus, isBreakerOpen: boolean) {
  if (isBreakerOpen) return <p>The first is to come once the endpoint’s breaker lets it through.</p>;
  if (status === DeliveryStatus.HELD) {
    return <p>It is held: until its subscription is enabled again, or those of its pass before it have ended.</p>;
  }
  if (status === DeliveryStatus.CANCELLED) return <p>It was cancelled before the first.</p>;
  return <p>The first is to come: it appears here by itself.</p>;
}

/** From the end of the attempt before, or from when the delivery was made; undefined where attempts between are gone. */
function waitBefore({ attempts, attemptCount, createdAt }: Delivery, at: number): number | undefined {
  const started = attempts[at]?.startedAt;
  if (started === undefined || createdAt === undefined) return undefined;
  if (at === 0) return timestampMs(started) - timestampMs(createdAt);
  if (at === 1 && attemptCount > attempts.length) return undefined;
  const before = attempts[at - 1];
  if (before?.startedAt === undefined) return undefined;
  const tookMs = before.duration === undefined ? 0 : durationToMs(before.duration);
  return timestampMs(started) - timestampMs(before.startedAt) - tookMs;
}

interface OneAttemptProps {
  readonly attempt: Attempt;
  readonly number: number;
  readonly waitedMs: number | undefined;
  readonly isOpen: boolean;
}

function OneAttempt({ attempt, number, waitedMs, isOpen }: OneAttemptProps) {
  const succeeded = attempt.errorCode === "";
  // What somebody reads stays open when another attempt is made.
  const [isOpenAtFirst] = useState(isOpen);
  return (
    <details className="attempt" open={isOpenAtFirst}>
      <summary>
        Attempt {number}: <Badge tone={succeeded ? "good" : "bad"}>{succeeded ? "delivered" : "failed"}</Badge>{" "}
        {answerOf(attempt)}
      </summary>
      <div className="stack attempt-body">
        <dl className="facts">
          <dt>Started</dt>
          <dd>
            <Exact at={attempt.startedAt} />
          </dd>
          {waitedMs === undefined ? null : (
            <>
              <dt>Waited before</dt>
              <dd>{duration(Math.max(0, waitedMs))}</dd>
            </>
          )}
          <dt>Took</dt>
          <dd>
            {attempt.duration === undefined ? "–" : duration(durationToMs(attempt.duration))}
            <Phases attempt={attempt} />
          </dd>
          {succeeded ? null : (
            <>
              <dt>What went wrong</dt>
              <dd>
                {attempt.errorMessage || (attempt.statusCode === 0 ? "" : `The answer was ${attempt.statusCode}.`)}{" "}
                <code>{attempt.errorCode}</code>
              </dd>
            </>
          )}
        </dl>
        <div className="columns">
          <Request attempt={attempt} />
          <Response attempt={attempt} number={number} />
        </div>
      </div>
    </details>
  );
}

/** Where its time went. */
function Phases({ attempt: { sentAfter, firstByteAfter, duration: took, connection } }: { readonly attempt: Attempt }) {
  const made = connection === undefined ? [] : phasesOf(connection);
  if (sentAfter === undefined || took === undefined) {
    return made.length === 0 ? null : <span className="hint"> ({made.join(" · ")})</span>;
  }
  const [sentMs, endMs] = [durationToMs(sentAfter), durationToMs(took)];
  const byteMs = firstByteAfter === undefined ? undefined : durationToMs(firstByteAfter);
  const phases = [
    connection === undefined ? `open connection ${duration(sentMs)}` : `new connection ${duration(sentMs)}`,
    ...made,
    byteMs === undefined ? `no answer for ${duration(endMs - sentMs)}` : `first byte ${duration(byteMs - sentMs)}`,
    ...(byteMs === undefined ? [] : [`rest of the answer ${duration(endMs - byteMs)}`]),
  ];
  return <span className="hint"> ({phases.join(" · ")})</span>;
}

function phasesOf({ dns, connect, tls }: ConnectionPhases): readonly string[] {
  const named = [
    ["DNS", dns],
    ["TCP", connect],
    ["TLS", tls],
  ] as const;
  return named.flatMap(([name, took]) => (took === undefined ? [] : [`${name} ${duration(durationToMs(took))}`]));
}

function Request({ attempt: { request } }: { readonly attempt: Attempt }) {
  return (
    <div className="stack">
      <h3>Request</h3>
      {request === undefined ? (
        <p className="hint">None could be made.</p>
      ) : (
        <>
          <p>
            <code>
              {request.method} {request.url}
            </code>
          </p>
          <Headers headers={request.headers} caption="The request’s headers" />
          <p className="hint">
            Body: {bytes(request.bodyBytes)}, SHA-256 <CopyText text={request.bodySha256} what="the body’s SHA-256" />
          </p>
        </>
      )}
    </div>
  );
}

function Response({ attempt, number }: { readonly attempt: Attempt; readonly number: number }) {
  const { statusCode, responseHeaders, responseExcerpt } = attempt;
  return (
    <div className="stack">
      <h3>Response</h3>
      {statusCode === 0 ? (
        <p className="hint">There was none.</p>
      ) : (
        <>
          <p>
            <code>{statusCode}</code>
          </p>
          <Headers headers={responseHeaders} caption="The response’s headers" />
          <Body body={new TextEncoder().encode(responseExcerpt)} what={`the body of response ${number}`} />
        </>
      )}
    </div>
  );
}
