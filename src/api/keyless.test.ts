import { expect, it } from "vitest";
import { LIMITS } from "../kernel/limits.ts";
import { KeylessStreams } from "./keyless.ts";

it("counts the streams of one network of IPv6 together, however many addresses they come from", () => {
  const streams = new KeylessStreams();
  const ends = new AbortController();
  const take = (address: string) => streams.take(address, ends.signal);
  for (let at = 1; at <= LIMITS.keylessStreamsPerPeer; at += 1) take(`2001:db8:0:1::${at.toString(16)}`);
  expect(() => take("2001:db8:0:1:ffff::1")).toThrow("as many as may be");
  take("2001:db8:0:2::1");
  take("192.0.2.1");
  ends.abort();
  streams.take("2001:db8:0:1::1", new AbortController().signal);
});
