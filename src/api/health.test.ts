import { create } from "@bufbuild/protobuf";
import { createHandlerContext } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/grpc/health/v1/health_pb.js";
import { ManualClock } from "../kernel/manual-clock.ts";
import { healthService } from "./health.ts";

function watch(service: string) {
  const clock = new ManualClock();
  const stopping = new AbortController();
  const stage = { ready: true };
  const readiness = () => ({ ready: stage.ready, reasons: [] });
  const health = healthService({ readiness, clock, services: ["a.B"], stopping: stopping.signal });
  const method = Health.method.watch;
  const caller = new AbortController();
  const context = createHandlerContext({
    service: Health,
    method,
    protocolName: "grpc",
    requestMethod: "POST",
    url: "http://a/",
    requestSignal: caller.signal,
  });
  const answers = health.watch(create(HealthCheckRequestSchema, { service }), context)[Symbol.asyncIterator]();
  const next = async () => (await answers.next()).value?.status;
  return { clock, stopping, stage, caller, next };
}

describe("watching health", () => {
  it("tells the status at first, and then each change alone", async () => {
    const { clock, stage, next } = watch("a.B");
    expect(await next()).toBe(Status.SERVING);
    const change = next();
    clock.advance(1_000);
    // Nothing had changed at that look, so there is another one to come.
    await expect.poll(() => clock.pending).toBe(1);
    stage.ready = false;
    clock.advance(1_000);
    expect(await change).toBe(Status.NOT_SERVING);
  });

  it("says SERVICE_UNKNOWN of one that is not served", async () => {
    expect(await watch("a.C").next()).toBe(Status.SERVICE_UNKNOWN);
  });

  it("ends with NOT_SERVING where the server stops, and leaves no timer", async () => {
    const { clock, stopping, next } = watch("");
    await next();
    const last = next();
    stopping.abort();
    expect(await last).toBe(Status.NOT_SERVING);
    expect(await next()).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  it("ends where the caller goes", async () => {
    const { clock, caller, next } = watch("");
    await next();
    const last = next();
    caller.abort();
    expect(await last).toBeUndefined();
    expect(clock.pending).toBe(0);
  });
});
