/** Every event that is stored, newest first and live: by pass, type and time. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type FormEvent, useState } from "react";
import { Link, useLocation } from "wouter";
import { EventService, type StoredEvent } from "../../../../gen/passbus/v1/event_service_pb.js";
import { OperationalEventType } from "../../../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../../../gen/passbus/v1/pass_event_pb.js";
import { eventAddress, type Filters, passAddress, useFilters } from "../../parts/address.ts";
import { Button, ButtonLink } from "../../parts/button.tsx";
import { Empty } from "../../parts/empty.tsx";
import { TYPE_OPTIONS, typesOf } from "../../parts/event-types.ts";
import { CodeBlock } from "../../parts/exchange.tsx";
import { SelectField, TextField } from "../../parts/field.tsx";
import type { LogRow } from "../../parts/log-rows.ts";
import { type LogColumn, LogView } from "../../parts/log-view.tsx";
import { Page } from "../../parts/page.tsx";
import { Ago } from "../../parts/time.tsx";
import { rangeOf, TimeRange, timesOf } from "../../parts/time-range.tsx";
import { useDebounced } from "../../parts/use-debounced.ts";
import { useLog } from "../../parts/use-log.ts";
import { useClient } from "../../rpc.ts";
import { useSession } from "../../session.tsx";
import { eventName } from "../../words.ts";

const PAGE_ROWS = 100;
const FILTERS = ["pass", "type", "since", "from", "to"] as const;
const NO_FILTERS = Object.fromEntries(FILTERS.map((name) => [name, ""]));
type EventFilters = Filters<(typeof FILTERS)[number]>;

interface EventRow extends LogRow {
  readonly acceptedAt: StoredEvent["acceptedAt"];
  readonly name: string;
  readonly passId: string;
  readonly entityId: string;
}

function rowOf({ event, acceptedAt }: StoredEvent): EventRow {
  const operational = event?.operationalEvent?.type ?? OperationalEventType.UNSPECIFIED;
  return {
    id: event?.id ?? "",
    atMs: acceptedAt === undefined ? 0 : timestampMs(acceptedAt),
    acceptedAt,
    name: eventName(event?.type ?? PassEventType.UNSPECIFIED, operational),
    passId: event?.pass?.id ?? "",
    entityId: event?.entityId ?? "",
  };
}

export function EventLog() {
  const { isPortal } = useSession();
  const [filters, change] = useFilters(FILTERS);
  const log = useEvents(useDebounced(filters));
  const isFiltered = FILTERS.some((name) => filters[name] !== "");
  return (
    <Page
      title="Events"
      lead={
        <p>
          What happened to passes, as it was published. Each became a delivery for every subscription that wants it.
        </p>
      }
      actions={
        <ButtonLink href="/dead-letters" needs={EventService.method.listDeadLetters}>
          Dead letters
        </ButtonLink>
      }
    >
      <search className="filters">
        <TextField label="Pass id" type="search" value={filters.pass} onChange={(pass) => change({ pass })} />
        <SelectField label="Type" value={filters.type} onChange={(type) => change({ type })} options={TYPE_OPTIONS} />
        <TimeRange label="Accepted" value={filters} onChange={change} />
        <OpenEvent />
      </search>
      {filters.pass.trim() === "" ? null : (
        <p>
          <Link href={passAddress(filters.pass.trim())}>The whole story of this pass</Link>
        </p>
      )}
      <LogView
        log={log}
        what="events"
        columns={COLUMNS}
        empty={
          <NoEvents
            isPassNeeded={isPortal && filters.pass === ""}
            isFiltered={isFiltered}
            onClear={() => change(NO_FILTERS)}
          />
        }
      />
    </Page>
  );
}

/** Straight to an event by its id, whether it is stored or among the dead letters. */
function OpenEvent() {
  const [id, setId] = useState("");
  const [, navigate] = useLocation();
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    if (id.trim() !== "") navigate(eventAddress(id.trim()));
  };
  return (
    <form onSubmit={onSubmit} className="beside">
      <TextField label="Event id" value={id} onChange={setId} />
      <Button type="submit">Open</Button>
    </form>
  );
}

function useEvents(filters: EventFilters) {
  const client = useClient(EventService);
  const { isPortal } = useSession();
  const { startMs, endMs } = rangeOf(filters);
  const asked = { passId: filters.pass.trim(), ...typesOf(filters.type) };
  return useLog<EventRow, typeof TAIL.input, typeof TAIL.output>({
    filter: JSON.stringify(filters),
    list: async (pageToken, signal) => {
      // A portal session may list a pass's events alone; live, it hears of all of its entity's.
      if (isPortal && asked.passId === "") return { rows: [], next: "" };
      const { events, nextPageToken } = await client.listEvents(
        { ...asked, ...timesOf(filters), pageSize: PAGE_ROWS, pageToken },
        { signal },
      );
      return { rows: events.map(rowOf), next: nextPageToken };
    },
    accepts: ({ atMs }) => atMs >= startMs && atMs < endMs,
    method: TAIL,
    input: asked,
    read: ({ event, skipped }) => ({ row: event === undefined ? undefined : rowOf(event), skipped }),
  });
}

const TAIL = EventService.method.tailEvents;

const COLUMNS: readonly LogColumn<EventRow>[] = [
  { title: "Accepted", width: "7rem", cell: ({ acceptedAt }) => <Ago at={acceptedAt} /> },
  { title: "Type", width: "minmax(7rem, 0.6fr)", cell: ({ name }) => name },
  {
    title: "Event",
    width: "minmax(10rem, 1.4fr)",
    cell: ({ id }) => (
      <Link href={eventAddress(id)}>
        <code>{id}</code>
      </Link>
    ),
  },
  {
    title: "Pass",
    width: "minmax(8rem, 1fr)",
    cell: ({ passId }) => (passId === "" ? "–" : <Link href={passAddress(passId)}>{passId}</Link>),
  },
  { title: "Entity", width: "minmax(6rem, 0.8fr)", cell: ({ entityId }) => entityId || "–" },
];

const EXAMPLE = `echo '{"type":"PASS_EVENT_TYPE_CREATED","pass":{"id":"pass-1"}}' | passbus publish`;

interface NoEventsProps {
  readonly isPassNeeded: boolean;
  readonly isFiltered: boolean;
  readonly onClear: () => void;
}

function NoEvents({ isPassNeeded, isFiltered, onClear }: NoEventsProps) {
  if (isPassNeeded) {
    return (
      <Empty title="Which pass?">
        <p>Type a pass’s id to see what happened to it. What happens to any from now on appears here by itself.</p>
      </Empty>
    );
  }
  if (isFiltered) {
    return (
      <Empty title="No event fits these filters">
        <p>Widen them, or look at all: what comes from now on and fits appears by itself.</p>
        <Button onPress={onClear}>Clear the filters</Button>
      </Empty>
    );
  }
  return (
    <Empty title="No events yet">
      <p>Publish one: it appears here by itself. With the command line, for example:</p>
      <CodeBlock text={EXAMPLE} what="the command" />
    </Empty>
  );
}
