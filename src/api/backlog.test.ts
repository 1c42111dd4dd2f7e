/** What a producer is told while the log takes no more. */
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { expect, it } from "vitest";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { ADMIN_KEY, testApi } from "../../test/support/api.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import { CodedError } from "../kernel/errors.ts";

const EVENT = { id: "evt_1", type: PassEventType.CREATED, pass: { id: "p1" } };

it("a batch is refused with RESOURCE_EXHAUSTED and when to try again, and an event of a stream for itself", async () => {
  await using api = await testApi();
  api.stage.append = async () => {
    throw new CodedError("limit.backlog", "the log has as much as it may", { retryAfterMs: 1_500 });
  };
  const events = createClient(EventService, grpcWithKey(api.url, ADMIN_KEY));
  const error = await failureOf(events.publishEvents({ events: [EVENT] }));
  expect([error.code, error.rawMessage]).toEqual([Code.ResourceExhausted, "the log has as much as it may"]);
  const [retry] = error.findDetails(RetryInfoSchema);
  expect(retry?.retryDelay && durationMs(retry.retryDelay)).toBe(1_500);

  const answers = [];
  for await (const answer of events.publishEventStream(
    (async function* () {
      yield { event: EVENT };
    })(),
  )) {
    answers.push(answer.error?.code);
  }
  expect(answers).toEqual(["limit.backlog"]);
});
