/** Subscriptions by what people call them. */
import { useQuery } from "@connectrpc/connect-query";
import { useMemo } from "react";
import { SubscriptionService } from "../../../gen/passbus/v1/subscription_service_pb.js";
import { useSession } from "../session.tsx";

/** Of the newest ones; the others go by their ids. */
const NAMED = 500;

export interface Names {
  /** Where it points to, without the scheme; its id where it isn't among those that were read. */
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

export function useSubscriptionNames(): Names {
  const { data } = useQuery(SubscriptionService.method.listSubscriptions, { pageSize: NAMED }, { staleTime: 30_000 });
  return useMemo(() => {
    const names = new Map((data?.subscriptions ?? []).map(({ id, url }) => [id, url.replace(/^https?:\/\//, "")]));
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
