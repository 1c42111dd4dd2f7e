import type { DescMessage, DescMethodUnary } from "@bufbuild/protobuf";
import { createConnectQueryKey } from "@connectrpc/connect-query";
import { InfiniteQueryObserver, QueryClient } from "@tanstack/react-query";
import { afterEach, expect, it } from "vitest";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { readAgain } from "./read-again.ts";

const METHOD: DescMethodUnary<DescMessage, DescMessage> = DeliveryService.method.listReplays;

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A list on a page. Each page of it waits for its gate and then says what the server has at that moment. */
function list() {
  const queries = new QueryClient({
    defaultOptions: { queries: { retry: false, staleTime: Number.POSITIVE_INFINITY } },
  });
  const server = { says: "old" };
  const gates: PromiseWithResolvers<void>[] = [];
  const observer = new InfiniteQueryObserver(queries, {
    queryKey: createConnectQueryKey({ schema: METHOD, cardinality: "infinite" }),
    initialPageParam: 0,
    getNextPageParam: (_last, pages) => pages.length,
    queryFn: async ({ pageParam, signal }) => {
      const said = `${pageParam} ${server.says}`;
      const gate = Promise.withResolvers<void>();
      gates.push(gate);
      signal.addEventListener("abort", () => gate.reject(signal.reason), { once: true });
      await gate.promise;
      return said;
    },
  });
  ends.push(
    observer.subscribe(() => {}),
    () => queries.clear(),
  );
  const pages = () => observer.getCurrentResult().data?.pages;
  /** Lets go what is asked for, until nothing more is. */
  const settle = async () => {
    for (let idle = 0; idle < 5; idle += 1) {
      const open = gates.splice(0);
      for (const gate of open) gate.resolve();
      if (open.length > 0) idle = 0;
      await new Promise((resolve) => setTimeout(resolve));
    }
  };
  return { observer, server, pages, settle, read: () => readAgain(queries, [METHOD]) };
}

const breath = () => new Promise((resolve) => setTimeout(resolve));

it("lets a first reading end, and reads what has changed since it began", async () => {
  const { server, pages, settle, read } = list();
  await breath();
  server.says = "new";
  const reading = read();
  await settle();
  await reading;
  expect(pages()).toEqual(["0 new"]);
});

it("lets a next page come that was asked for, and reads it all again", async () => {
  const { observer, server, pages, settle, read } = list();
  await settle();
  const more = observer.fetchNextPage();
  await breath();
  server.says = "new";
  const reading = read();
  await settle();
  await Promise.all([more, reading]);
  expect(pages()).toEqual(["0 new", "1 new"]);
});

it("reads it all again where a next page broke a reading off", async () => {
  const { observer, server, pages, settle, read } = list();
  await settle();
  server.says = "new";
  const reading = read();
  await breath();
  const more = observer.fetchNextPage();
  await settle();
  await Promise.all([more, reading]);
  expect(pages()).toEqual(["0 new", "1 new"]);
});
