/** Subscriptions by what people call them. */
import { useQuery } from "@connectrpc/connect-query";
import { useMemo } from "react";
import { SubscriptionService } from "../../../gen/passbus/v1/subscription_service_pb.js";

/** Of the newest ones; the others go by their ids. */
const NAMED = 500;

export interface Names {
  /** Where it points to, without the scheme; its id where it isn't among those that were read. */
  readonly nameOf: (id: string) => string;
  /** For a list to choose from, `id` among them in any case. */
  readonly options: (none: string, id: string) => readonly (readonly [id: string, name: string])[];
}

export function useSubscriptionNames(): Names {
  const { data } = useQuery(SubscriptionService.method.listSubscriptions, { pageSize: NAMED }, { staleTime: 30_000 });
  return useMemo(() => {
    const names = new Map((data?.subscriptions ?? []).map(({ id, url }) => [id, url.replace(/^https?:\/\//, "")]));
    const nameOf = (id: string) => names.get(id) ?? id;
    return {
      nameOf,
      options: (none, id) => [
        ["", none],
        ...(id === "" || names.has(id) ? [] : [[id, id] as const]),
        ...[...names].map(([each, name]) => [each, name] as const),
      ],
    };
  }, [data]);
}
