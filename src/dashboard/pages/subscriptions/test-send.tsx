/** Sends a sample now, and shows the whole exchange. */

import type { Duration } from "@bufbuild/protobuf/wkt";
import { useState } from "react";
import type { PassEventType } from "../../../../gen/passbus/v1/pass_event_pb.js";
import type { Subscription } from "../../../../gen/passbus/v1/subscription_pb.js";
import {
  type RequestTimings,
  SubscriptionService,
  type TestSubscriptionResponse,
} from "../../../../gen/passbus/v1/subscription_service_pb.js";
import { duration, durationToMs } from "../../numbers.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Body, Headers } from "../../parts/exchange.tsx";
import { Failure } from "../../parts/failure.tsx";
import { SelectField } from "../../parts/field.tsx";
import { Section } from "../../parts/page.tsx";
import { useClient } from "../../rpc.ts";
import { EVENT_TYPE, SAYABLE } from "../../words.ts";

export function TestSend({ subscription }: { readonly subscription: Subscription }) {
  const { id, format, eventTypes } = subscription;
  const choice = eventTypes.length === 0 ? SAYABLE[format] : eventTypes;
  const [type, setType] = useState<PassEventType | undefined>(choice[0]);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  const [exchange, setExchange] = useState<TestSubscriptionResponse>();
  const client = useClient(SubscriptionService);
  const send = async () => {
    setBusy(true);
    setFailure(undefined);
    try {
      setExchange(await client.testSubscription({ id, ...(type !== undefined && { eventType: type }) }));
    } catch (reason) {
      setExchange(undefined);
      setFailure(reason);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Section title="Send a test">
      <div className="filters">
        {type === undefined ? null : (
          <SelectField
            label="Event"
            value={type}
            options={choice.map((each) => [each, EVENT_TYPE[each]] as const)}
            onChange={setType}
          />
        )}
        <div>
          <Button
            kind="primary"
            busy={busy}
            needs={SubscriptionService.method.testSubscription}
            onPress={() => void send()}
          >
            Send it now
          </Button>
        </div>
      </div>
      <p className="hint">A sample with the header webhook-test: true. Nothing is stored of it.</p>
      {failure === undefined ? null : <Failure error={failure} doing="send the test" />}
      {exchange === undefined ? null : <Exchange exchange={exchange} />}
    </Section>
  );
}

function Exchange({ exchange }: { readonly exchange: TestSubscriptionResponse }) {
  const { attempt, request, response, timings } = exchange;
  const ok = attempt !== undefined && attempt.errorCode === "";
  return (
    <section className="stack" aria-label="The test’s exchange">
      <p role="status">
        <Badge tone={ok ? "good" : "bad"}>{ok ? "taken" : "not taken"}</Badge>{" "}
        {response === undefined ? "There was no answer." : `It answered ${response.statusCode}`}
        {timings?.total === undefined ? null : ` after ${duration(durationToMs(timings.total))}`}
        {attempt === undefined || ok ? null : (
          <>
            : {attempt.errorMessage} <code>{attempt.errorCode}</code>
          </>
        )}
      </p>
      {timings === undefined ? null : <Timings timings={timings} />}
      <div className="columns">
        {request === undefined ? null : (
          <div className="stack">
            <h3>Request</h3>
            <p>
              <code>
                {request.method} {request.url}
              </code>
            </p>
            <Headers headers={request.headers} caption="The request’s headers" />
            <Body body={request.body} what="the request’s body" />
          </div>
        )}
        {response === undefined ? null : (
          <div className="stack">
            <h3>Response</h3>
            <p>
              <code>{response.statusCode}</code>
            </p>
            <Headers headers={response.headers} caption="The response’s headers" />
            <Body body={response.body} what="the response’s body" truncated={response.truncated} />
          </div>
        )}
      </div>
    </section>
  );
}

function Timings({ timings }: { readonly timings: RequestTimings }) {
  const phases: readonly (readonly [string, Duration | undefined])[] = [
    ["Name", timings.dns],
    ["Connection", timings.connect],
    ["TLS", timings.tls],
    ["First byte", timings.firstByte],
    ["All", timings.total],
  ];
  const reached = phases.flatMap(([name, value]) =>
    value === undefined ? [] : [[name, durationToMs(value)] as const],
  );
  return <p className="hint">{reached.map(([name, ms]) => `${name} ${duration(ms)}`).join(" · ")}</p>;
}
