import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { afterEach, describe, expect, it } from "vitest";
import {
  GetEventResponseSchema,
  type ListEventsRequest,
  ListEventsResponseSchema,
  StoredEventSchema,
} from "../../gen/passbus/v1/event_service_pb.js";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { type AnsweringServer, type Answers, answeringServer } from "../../test/support/answering-server.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { runCli } from "./cli.ts";
import { eventsCommand } from "./events.ts";

const AT = "2023-11-14T22:13:20.000Z";
const acceptedAt = timestampFromMs(1_700_000_000_000);

const created = create(StoredEventSchema, {
  event: { id: "evt_1", type: PassEventType.CREATED, entityId: "shop", pass: { id: "p\u001b1" } },
  acceptedAt,
});
const failed = create(StoredEventSchema, {
  event: { id: "evt_2", operationalEvent: { type: OperationalEventType.DELIVERY_FAILED, subscriptionId: "sub_1" } },
  acceptedAt,
});

const servers: AnsweringServer[] = [];
afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop())));

async function events(answers: Answers, ...args: readonly string[]) {
  const server = await answeringServer(answers);
  servers.push(server);
  const terminal = testTerminal({ PASSBUS_KEY: "a-key-that-is-long-enough" });
  const code = await runCli(["events", ...args, "--url", server.url], [eventsCommand()], terminal);
  return { code, ...terminal.said };
}

describe("passbus events list", () => {
  it("shows what is asked for, a line each, over as many pages as it takes", async () => {
    const asked: ListEventsRequest[] = [];
    const list = (request: unknown) => {
      asked.push(request as ListEventsRequest);
      const isFirst = asked.length === 1;
      return create(ListEventsResponseSchema, {
        events: isFirst ? [failed] : [created],
        nextPageToken: isFirst ? "more" : "",
      });
    };
    const narrowed = ["--pass", "p", "--type", "created", "--since", AT, "--until", "2023-11-15T00:00:00Z"];
    const { code, out, err } = await events({ "passbus.v1.EventService/ListEvents": list }, "list", ...narrowed);
    expect([code, err]).toEqual([0, ""]);
    expect(
      out
        .trimEnd()
        .split("\n")
        .map((line) => line.split(/ {2,}/)),
    ).toEqual([
      ["ID", "ACCEPTED", "TYPE", "ABOUT", "ENTITY"],
      ["evt_2", AT, "delivery.failed", "sub_1", "-"],
      ["evt_1", AT, "created", "p\\u{1b}1", "shop"],
    ]);
    expect(asked).toMatchObject([
      { passId: "p", type: PassEventType.CREATED, startTime: acceptedAt, pageToken: "", pageSize: 50 },
      { endTime: timestampFromMs(1_700_006_400_000), pageToken: "more", pageSize: 49 },
    ]);
  });

  it("says that there is none, and shows programs the whole", async () => {
    const list = {
      "passbus.v1.EventService/ListEvents": () => create(ListEventsResponseSchema, { events: [created] }),
    };
    expect(await events({}, "list")).toEqual({ code: 0, out: "", err: "no events\n" });
    const { out } = await events(list, "list", "--json");
    expect(JSON.parse(out)).toMatchObject({
      event: { id: "evt_1", entityId: "shop" },
      acceptedAt: "2023-11-14T22:13:20Z",
    });
  });
});

describe("passbus events get", () => {
  const get = { "passbus.v1.EventService/GetEvent": () => create(GetEventResponseSchema, { event: created }) };

  it("shows one with its payload, and nothing of it moves the cursor", async () => {
    const { code, out } = await events(get, "get", "evt_1");
    expect(code).toBe(0);
    expect(out).toMatch(/^id {8}evt_1\ntype {6}created\nabout {5}p\\u\{1b\}1\nentity {4}shop\naccepted {2}2023/);
    expect(out).toContain('  "type": "PASS_EVENT_TYPE_CREATED"');
    expect(out).not.toContain("\u001b");
    expect(JSON.parse((await events(get, "get", "evt_1", "--json")).out).event.id).toBe("evt_1");
  });

  it("says what the server refuses", async () => {
    const refusing = () => {
      throw new ConnectError("there is no event evt_1");
    };
    const { code, err } = await events({ "passbus.v1.EventService/GetEvent": refusing }, "get", "evt_1");
    expect([code, err]).toEqual([1, expect.stringContaining("there is no event evt_1")]);
  });
});
