/** Subscriptions by what people call them. */
import { useQuery } from "@connectrpc/connect-query";
import { useMemo } from "react";
import type { Subscription } from "../../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../../gen/passbus/v1/subscription_service_pb.js";
import { useSession } from "../session.tsx";

/** Of the newest ones; the others go by their ids. */
const NAMED = 500;

export interface Names {
  /** Its description; where it has none, where it points to; its id where it isn't among those that were read. */
  readonly nameOf: (id: string) => string;
  /** The newest; empty where there is none, undefined while they are read. */
  readonly first: string | undefined;
  /** For a list to choose from, `id` among them in any case; `none` is what no choice is called, where that is one. */
  readonly options: (none: string | undefined, id: string) => readonly (readonly [id: string, name: string])[];
}

/** The one that was asked for; a portal session may not ask for all, so that its newest stands for none. */
export function useSubscriptionAsked(asked: string): string | undefined {
  const { isPortal } = useSession();
  const { first } = useSubscriptionNames();
  return isPortal && asked === "" ? first : asked;
}

/** By their ids. Where two have one description, each has its address behind it. */
export function namesOf(
  subscriptions: readonly Pick<Subscription, "id" | "url" | "description">[],
): ReadonlyMap<string, string> {
  const times = new Map<string, number>();
  for (const { description } of subscriptions) times.set(description, (times.get(description) ?? 0) + 1);
  return new Map(
    subscriptions.map(({ id, url, description }) => {
      const address = url.replace(/^https?:\/\//, "");
      if (description === "") return [id, address];
      return [id, times.get(description) === 1 ? description : `${description} (${address})`];
    }),
  );
}

export function useSubscriptionNames(): Names {
  const { data } = useQuery(SubscriptionService.method.listSubscriptions, { pageSize: NAMED }, { staleTime: 30_000 });
  return useMemo(() => {
    const names = namesOf(data?.subscriptions ?? []);
    const nameOf = (id: string) => names.get(id) ?? id;
    return {
      nameOf,
      first: data === undefined ? undefined : (data.subscriptions[0]?.id ?? ""),
      options: (none, id) => [
        ...(none === undefined ? [] : [["", none] as const]),
        ...(id === "" || names.has(id) ? [] : [[id, id] as const]),
        ...[...names].map(([each, name]) => [each, name] as const),
      ],
    };
  }, [data]);
}
