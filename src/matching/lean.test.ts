import { expect, test } from "vitest";
import { sampleSubscription } from "../../test/support/samples.ts";
import { sharingParts } from "./lean.ts";

test("subscriptions stay what they are, and share what they have alike", () => {
  const all = [
    sampleSubscription({ id: "sub_1", labels: { team: "a" }, url: "https://a.example/", urlKey: "https://a.example/" }),
    sampleSubscription({ id: "sub_2", labels: { team: "a" } }),
    sampleSubscription({ id: "sub_3", labels: { team: "b" } }),
  ];
  const shared = sharingParts(all.map((one) => structuredClone(one)));
  expect(shared).toEqual(all);
  const [first, second, third] = shared;
  expect(second?.policy).toBe(first?.policy);
  expect(second?.labels).toBe(first?.labels);
  expect(third?.labels).not.toBe(first?.labels);
});
