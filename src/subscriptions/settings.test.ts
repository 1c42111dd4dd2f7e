import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { ActionMethod } from "../../gen/io/integrations_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import {
  CloudEventsMode,
  Format,
  Ordering,
  PassKitUninstalledEventName,
  State,
  SubscriptionSchema,
  WhileDisabled,
} from "../../gen/passbus/v1/subscription_pb.js";
import { DEFAULT_POLICY } from "../domain/subscription.ts";
import { CodedError, type FieldViolation } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { readEntityId, readSettings } from "./settings.ts";
import { Violations } from "./violations.ts";

type Init = MessageInitShape<typeof SubscriptionSchema>;

const url = "https://a.example/hook";

function message(init: Init) {
  return create(SubscriptionSchema, init);
}

function read(init: Init) {
  const wrong = new Violations("subscription");
  const settings = readSettings(message(init), wrong);
  wrong.throwIfAny();
  return settings;
}

function violations(init: Init): readonly FieldViolation[] {
  try {
    read(init);
  } catch (error) {
    if (error instanceof CodedError) return error.violations;
    throw error;
  }
  return [];
}

const week = 7 * 24 * 3_600_000;
const many = (count: number, value = "v") =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`x-${at}`, value]));

describe("readSettings", () => {
  test("fills in every default", () => {
    expect(read({ url })).toEqual({
      url,
      eventTypes: [],
      format: "STANDARD",
      formatOptions: { passkitUninstalledName: "documented", passkitMethod: ActionMethod.METHOD_NONE },
      state: "enabled",
      description: "",
      labels: {},
      headers: {},
      policy: DEFAULT_POLICY,
      protocol: 0,
    });
  });

  test("reads every field, at the ends of what is allowed", () => {
    const steps = [100, week, ...Array.from({ length: 28 }, () => 1_500)];
    const settings = read({
      url,
      eventTypes: [PassEventType.DELETED, PassEventType.CREATED],
      format: Format.PASSKIT,
      formatOptions: {
        passkitUninstalledEventName: PassKitUninstalledEventName.ENUM,
        passkitMethod: ActionMethod.METHOD_PUT,
      },
      state: State.DISABLED,
      description: "d".repeat(1_000),
      labels: { ["l".repeat(128)]: "v".repeat(128) },
      headers: { "X-Team": "wallets, and\tmore", "x-empty": "" },
      policy: {
        retrySchedule: steps.map((ms) => durationFromMs(ms)),
        attemptTimeout: durationFromMs(LIMITS.attemptTimeoutMaxMs),
        maxInFlight: 256,
        ordering: Ordering.PER_PASS,
        conflate: true,
        whileDisabled: WhileDisabled.HOLD,
      },
      protocol: 100,
    });
    expect(settings).toEqual({
      url,
      eventTypes: [PassEventType.DELETED, PassEventType.CREATED],
      format: "PASSKIT",
      formatOptions: { passkitUninstalledName: "enum", passkitMethod: ActionMethod.METHOD_PUT },
      state: "disabled",
      description: "d".repeat(1_000),
      labels: { ["l".repeat(128)]: "v".repeat(128) },
      headers: { "x-team": "wallets, and\tmore", "x-empty": "" },
      policy: {
        retryScheduleMs: steps,
        attemptTimeoutMs: LIMITS.attemptTimeoutMaxMs,
        maxInFlight: 256,
        whileDisabled: "hold",
        ordering: "perPass",
        conflate: true,
      },
      protocol: 100,
    });
  });

  test.each<[string, Init]>([
    ["url", {}],
    ["description", { url, description: "d".repeat(1_001) }],
    ["protocol", { url, protocol: 5 as never }],
    ["format", { url, format: 9 as never }],
    ["state", { url, state: 9 as never }],
    ["event_types[0]", { url, eventTypes: [PassEventType.UNSPECIFIED] }],
    ["event_types[1]", { url, eventTypes: [PassEventType.CREATED, 99 as never] }],
    ["event_types[2]", { url, eventTypes: [1, 2, 1] }],
    ["event_types[0]", { url, format: Format.PASSKIT, eventTypes: [PassEventType.SCANNED] }],
    [
      "format_options.passkit_uninstalled_event_name",
      { url, formatOptions: { passkitUninstalledEventName: 9 as never } },
    ],
    ["format_options.passkit_method", { url, formatOptions: { passkitMethod: 9 as never } }],
    ["format_options.cloudevents_mode", { url, formatOptions: { cloudeventsMode: 9 as never } }],
    ["event_types[0]", { url, format: Format.PASSENTRY, eventTypes: [PassEventType.UPDATED] }],
    ["policy.while_disabled", { url, policy: { whileDisabled: 9 as never } }],
    ["policy.ordering", { url, policy: { ordering: 9 as never } }],
    ["policy.max_in_flight", { url, policy: { maxInFlight: 257 } }],
    ["policy.attempt_timeout", { url, policy: { attemptTimeout: durationFromMs(999) } }],
    ["policy.attempt_timeout", { url, policy: { attemptTimeout: durationFromMs(LIMITS.attemptTimeoutMaxMs + 1) } }],
    ["policy.attempt_timeout", { url, policy: { attemptTimeout: { seconds: 5n, nanos: -1 } } }],
    ["policy.attempt_timeout", { url, policy: { attemptTimeout: { seconds: 2n ** 62n } } }],
    [
      "policy.retry_schedule",
      { url, policy: { retrySchedule: Array.from({ length: 31 }, () => durationFromMs(1_000)) } },
    ],
    ["policy.retry_schedule[2]", { url, policy: { retrySchedule: [100, 100, 99].map((ms) => durationFromMs(ms)) } }],
    ["policy.retry_schedule[1]", { url, policy: { retrySchedule: [100, week + 1].map((ms) => durationFromMs(ms)) } }],
    ["policy.retry_schedule[0]", { url, policy: { retrySchedule: [durationFromMs(-1_000)] } }],
    ["labels", { url, labels: many(33) }],
    ['labels[""]', { url, labels: { "": "v" } }],
    ['labels["a\\n"]', { url, labels: { "a\n": "v" } }],
    ['labels["a"]', { url, labels: { a: "v".repeat(129) } }],
    ["headers", { url, headers: many(21) }],
    ["headers", { url, headers: { "x-large": "v".repeat(4_096) } }],
  ])("names %s (row %#)", (field, init) => {
    expect(violations(init).map((violation) => violation.field)).toEqual([`subscription.${field}`]);
  });

  test("names everything that is wrong in one go", () => {
    const found = violations({ state: 9 as never, policy: { maxInFlight: 300 }, headers: { host: "x" } });
    expect(found.map((violation) => violation.field)).toEqual([
      "subscription.url",
      "subscription.state",
      'subscription.headers["host"]',
      "subscription.policy.max_in_flight",
    ]);
  });

  test("says which types the format can say", () => {
    const [violation] = violations({ url, format: Format.PASSKIT, eventTypes: [PassEventType.SCANNED] });
    expect(violation?.description).toMatch(/^FORMAT_PASSKIT can't say PASS_EVENT_TYPE_SCANNED; it can say PASS_EVENT/);
  });

  test.each<[string, Init]>([
    ["policy.rate_per_second", { url, policy: { ratePerSecond: 0.009 } }],
    ["policy.rate_per_second", { url, policy: { ratePerSecond: 10_001 } }],
    ["policy.rate_per_second", { url, policy: { ratePerSecond: -1 } }],
    ["policy.rate_per_second", { url, policy: { ratePerSecond: Number.NaN } }],
    ["policy.rate_per_second", { url, policy: { ratePerSecond: Number.POSITIVE_INFINITY } }],
    ["policy.burst", { url, policy: { burst: 5 } }],
    ["policy.burst", { url, policy: { ratePerSecond: 5, burst: 10_001 } }],
  ])("refuses %s where it is out of bounds, or says nothing (row %#)", (field, init) => {
    expect(violations(init).map((violation) => violation.field)).toEqual([`subscription.${field}`]);
  });

  test.each([
    [{ ratePerSecond: 0.01 }, { perSecond: 0.01, burst: 1 }],
    [{ ratePerSecond: 2.5 }, { perSecond: 2.5, burst: 3 }],
    [
      { ratePerSecond: 10_000, burst: 10_000 },
      { perSecond: 10_000, burst: 10_000 },
    ],
    [{}, undefined],
  ])("reads the rate %j as %j", (policy, rate) => {
    expect(read({ url, policy }).policy.rate).toEqual(rate);
  });

  test("reads the mode of CloudEvents, structured where none is named", () => {
    const mode = (cloudeventsMode: CloudEventsMode) =>
      read({ url, format: Format.CLOUDEVENTS, formatOptions: { cloudeventsMode } }).formatOptions.cloudeventsMode;
    expect(mode(CloudEventsMode.BINARY)).toBe("binary");
    expect(mode(CloudEventsMode.STRUCTURED)).toBeUndefined();
    expect(mode(CloudEventsMode.UNSPECIFIED)).toBeUndefined();
  });

  test("takes an authorization for ethpass, and keeps its text out of the settings and of every refusal", () => {
    const formatOptions = { ethpassAuthorization: "Basic aHVzaA==" };
    expect(JSON.stringify(read({ url, format: Format.ETHPASS, formatOptions }))).not.toContain("aHVzaA==");
    for (const [format, ethpassAuthorization] of [
      [Format.STANDARD, "hush"],
      [Format.PASSENTRY, "hush"],
      [Format.ETHPASS, "hush\r\nx-evil: 1"],
      [Format.ETHPASS, " hush"],
      [Format.ETHPASS, "hush\u20ac"],
      [Format.ETHPASS, "hush".repeat(513)],
    ] as const) {
      const [violation, ...others] = violations({ url, format, formatOptions: { ethpassAuthorization } });
      expect(violation?.field).toBe("subscription.format_options.ethpass_authorization");
      expect(violation?.description).not.toContain("hush");
      expect(others).toEqual([]);
    }
  });

  // "A registered endpoint will receive all of the following events" (seed 001).
  test("an ethpass endpoint gets all five, and the list may say no less", () => {
    const { CREATED, INSTALLED, UNINSTALLED, INVALIDATED, SCANNED, UPDATED } = PassEventType;
    const all = [SCANNED, INVALIDATED, UNINSTALLED, INSTALLED, CREATED];
    const types = (eventTypes: PassEventType[]) => ({ url, format: Format.ETHPASS, eventTypes });
    expect(read(types([])).eventTypes).toEqual([]);
    expect(read(types(all)).eventTypes).toEqual([]);
    expect(violations(types(all.slice(1)))).toEqual([
      {
        field: "subscription.event_types",
        description: "an endpoint of FORMAT_ETHPASS gets all that it can say; leave the list empty",
      },
    ]);
    expect(violations(types([...all, UPDATED])).map((violation) => violation.field)).toEqual([
      "subscription.event_types[5]",
    ]);
  });
});

describe("headers of a subscription", () => {
  test.each([
    "Host",
    "content-length",
    "Content-Type",
    "content-encoding",
    "Transfer-Encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "Authorization",
    "cookie",
    "User-Agent",
    "Webhook-Id",
    "webhook-anything",
    "ce-type",
    "proxy-authorization",
    "x-passkit-signature",
    "X-Webhook-Signature",
  ])("%s belongs to passbus", (name) => {
    const field = `subscription.headers[${JSON.stringify(name)}]`;
    expect(violations({ url, headers: { [name]: "v" } })).toEqual([
      { field, description: `passbus sets ${name.toLowerCase()} itself` },
    ]);
  });

  test.each([
    ["", "v"],
    ["a b", "v"],
    ["a:b", "v"],
    ["a\r\nb", "v"],
    ["é", "v"],
    ["x", "a\r\nb: c"],
    ["x", "a\u0000"],
    ["x", " a"],
    ["x", "a "],
    ["x", "é"],
  ])("%j: %j is refused", (name, value) => {
    expect(violations({ url, headers: { [name]: value } }).map((violation) => violation.field)).toEqual([
      `subscription.headers[${JSON.stringify(name)}]`,
    ]);
  });

  test("a name that is there twice, in other letters, is refused", () => {
    expect(violations({ url, headers: { "x-a": "1", "X-A": "2" } }).map((violation) => violation.field)).toEqual([
      'subscription.headers["X-A"]',
    ]);
  });
});

describe("readEntityId", () => {
  test.each([
    ["", 0],
    ["class-1", 0],
    ["x".repeat(128), 0],
    ["x".repeat(129), 1],
    ["a\u0000", 1],
    ["\ud800", 1],
  ])("%j has %i violations", (entityId, count) => {
    const wrong = new Violations("subscription");
    readEntityId(entityId, wrong);
    if (count === 0) wrong.throwIfAny();
    else expect(() => wrong.throwIfAny()).toThrow("subscription.entity_id: must have at most 128 characters");
  });
});
