/** The request that a draft's webhook would be, signature and all, while it is being typed. */
import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@connectrpc/connect-query";
import { keepPreviousData } from "@tanstack/react-query";
import { useState } from "react";
import { EventService, type StoredEvent } from "../../../../gen/passbus/v1/event_service_pb.js";
import { PassEventType } from "../../../../gen/passbus/v1/pass_event_pb.js";
import { Format } from "../../../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../../../gen/passbus/v1/subscription_service_pb.js";
import { Badge } from "../../parts/badge.tsx";
import { CopyText } from "../../parts/copy.tsx";
import { Body, Headers } from "../../parts/exchange.tsx";
import { Failure, type Refusal, refusalOf } from "../../parts/failure.tsx";
import { SelectField } from "../../parts/field.tsx";
import { Section } from "../../parts/page.tsx";
import { Ago } from "../../parts/time.tsx";
import { useSession } from "../../session.tsx";
import { EVENT_TYPE, SAYABLE } from "../../words.ts";
import { type Draft, flawsOf, messageOf } from "./draft.ts";

/** How many of the newest events a filter is tried on. */
const TRIED = 5;

type Source = { case: "sample"; value: PassEventType } | { case: "eventId"; value: string };

/** What PreviewPayload is asked with. A stored authorization is not known here, and shown by nobody. */
function previewed(draft: Draft, isStored: boolean) {
  const kept = isStored && draft.format === Format.ETHPASS && draft.ethpassAuthorization === "";
  return messageOf(kept ? { ...draft, ethpassAuthorization: "stored" } : draft);
}

/** The draft as it stands, with the sample that passbus chooses: the one call that says what is wrong with it. */
function useJudged(draft: Draft, isStored: boolean) {
  return useQuery(
    SubscriptionService.method.previewPayload,
    { subscription: previewed(draft, isStored) },
    { enabled: flawsOf(draft).size === 0, placeholderData: keepPreviousData, retry: false },
  );
}

/** A URL that is wrong says nothing against the rest, which is previewed without it. */
function isOfUrlAlone(error: unknown): boolean {
  const fields = [...refusalOf(error).fields.keys()];
  return fields.length > 0 && fields.every((field) => field === "subscription.url");
}

/** Asks for no source before the draft is judged: what is wrong would be answered once for each. */
function usePreview(draft: Draft, isStored: boolean, source: Source | undefined) {
  const judged = useJudged(draft, isStored);
  const lacksUrl = judged.error !== null && isOfUrlAlone(judged.error);
  const isOwn = source !== undefined || lacksUrl;
  const isRight = judged.isSuccess && !judged.isPlaceholderData;
  const own = useQuery(
    SubscriptionService.method.previewPayload,
    {
      subscription: previewed(lacksUrl ? { ...draft, url: "" } : draft, isStored),
      ...(source !== undefined && { source }),
    },
    { enabled: isOwn && (isRight || lacksUrl), placeholderData: keepPreviousData, retry: false },
  );
  return isOwn && (judged.error === null || lacksUrl) ? own : judged;
}

/** What is wrong with the draft as it stands: what the form sees itself, and what passbus says. */
export function useDraftErrors(draft: Draft, isStored: boolean): ReadonlyMap<string, string> {
  const { error } = useJudged(draft, isStored);
  const isEmpty = draft.url.trim() === "";
  const [hadUrl, setHadUrl] = useState(!isEmpty);
  if (!hadUrl && !isEmpty) setHadUrl(true);
  const refused: Refusal | undefined =
    error !== null && ConnectError.from(error).code === Code.InvalidArgument ? refusalOf(error) : undefined;
  return new Map([
    ...(refused?.fields ?? []),
    // One that was never there is not wrong yet.
    ...(hadUrl && isEmpty ? [["subscription.url", "is required"] as const] : []),
    ...flawsOf(draft),
  ]);
}

/** The newest events, whatever their passes. A portal session may list those of one pass alone: it tries samples. */
function useNewest() {
  const { isPortal } = useSession();
  return useQuery(EventService.method.listEvents, { pageSize: TRIED }, { enabled: !isPortal });
}

interface PreviewProps {
  /** Settled: not at every keystroke. */
  readonly draft: Draft;
  readonly isStored: boolean;
}

export function Preview({ draft, isStored }: PreviewProps) {
  const sayable = SAYABLE[draft.format];
  const [chosen, setChosen] = useState<string>("");
  const recent = useNewest();
  const type = Number(chosen) as PassEventType;
  const source: Source | undefined = chosen.startsWith("event:")
    ? { case: "eventId", value: chosen.slice("event:".length) }
    : chosen !== "" && sayable.includes(type)
      ? { case: "sample", value: type }
      : undefined;
  const { data, error } = usePreview(draft, isStored, source);
  const options: (readonly [string, string])[] = [
    ["", "A sample of the first type that it gets"],
    ...sayable.map((each) => [String(each), `Sample: ${EVENT_TYPE[each]}`] as const),
    ...(recent.data?.events ?? []).map(({ event }) => [`event:${event?.id}`, `Event ${event?.id}`] as const),
  ];
  return (
    <Section title="Preview">
      <SelectField label="Of" value={chosen} options={options} onChange={setChosen} />
      {error === null ? null : <PreviewFailure error={error} />}
      {data === undefined || error !== null ? null : (
        <>
          <p>
            <code>
              {data.method} {data.url === "" ? "(no URL that can be used yet)" : data.url}
            </code>
          </p>
          <Headers headers={data.headers} caption="The request’s headers" />
          <Body body={data.body} what="the request’s body" />
          {data.draftSecret === "" ? null : (
            <p className="hint">
              Signed with a secret made for this preview alone:{" "}
              <CopyText text={data.draftSecret} what="the preview’s secret" />
            </p>
          )}
        </>
      )}
    </Section>
  );
}

/** Fields that are wrong are told beside themselves. */
function PreviewFailure({ error }: { readonly error: unknown }) {
  const { fields, message } = refusalOf(error);
  if (ConnectError.from(error).code !== Code.InvalidArgument) return <Failure error={error} doing="make the preview" />;
  const others = [...fields].filter(([field]) => !field.startsWith("subscription."));
  if (fields.size > 0 && others.length === 0) return <p className="hint">There is one when the form is right.</p>;
  return <p className="hint">No preview of this: {others.map(([, text]) => text).join("; ") || message}</p>;
}

/** Whether the newest events would come through, one by one. */
export function FilterVerdicts({ draft, isStored }: PreviewProps) {
  const { data } = useNewest();
  const { error } = useJudged(draft, isStored);
  const events = data?.events ?? [];
  const isWrong = error !== null && !isOfUrlAlone(error);
  if (draft.filter === "" || events.length === 0 || isWrong) return null;
  return (
    <div>
      <p className="hint">What it says of the newest events:</p>
      <ul className="verdicts">
        {events.map((event) => (
          <Verdict key={event.event?.id} stored={event} draft={draft} isStored={isStored} />
        ))}
      </ul>
    </div>
  );
}

function Verdict({ stored, draft, isStored }: PreviewProps & { readonly stored: StoredEvent }) {
  const { event, acceptedAt } = stored;
  const { data, error } = usePreview(draft, isStored, { case: "eventId", value: event?.id ?? "" });
  const says = error !== null ? "can’t say" : data === undefined ? "…" : data.refusal === "" ? "passes" : "stopped";
  const why = error !== null ? refusalOf(error).message.replace(/^event_id: /, "") : (data?.refusalMessage ?? "");
  return (
    <li>
      <span>
        <Badge tone={says === "passes" ? "good" : "calm"}>{says}</Badge>
      </span>
      <span>
        {EVENT_TYPE[event?.type ?? PassEventType.UNSPECIFIED]} <code>{event?.pass?.id ?? event?.id}</code>,{" "}
        <Ago at={acceptedAt} />
        {why === "" ? null : <span className="hint"> – {why}</span>}
      </span>
    </li>
  );
}
