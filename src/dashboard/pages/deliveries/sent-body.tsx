/** The body that a delivery sends. It is not stored: it is rendered again, and held against the hash of what was sent. */
import { useQuery } from "@connectrpc/connect-query";
import { useEffect, useState } from "react";
import type { Delivery } from "../../../../gen/passbus/v1/delivery_pb.js";
import { SubscriptionService } from "../../../../gen/passbus/v1/subscription_service_pb.js";
import { Button } from "../../parts/button.tsx";
import { Loading } from "../../parts/empty.tsx";
import { Body } from "../../parts/exchange.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Section } from "../../parts/page.tsx";

export function SentBody({ delivery }: { readonly delivery: Delivery }) {
  const [isShown, setShown] = useState(false);
  return (
    <Section title="The body">
      {isShown ? (
        <Rendered delivery={delivery} />
      ) : (
        <div>
          <Button needs={SubscriptionService.method.previewPayload} onPress={() => setShown(true)}>
            Show the body
          </Button>
        </div>
      )}
    </Section>
  );
}

function Rendered({ delivery }: { readonly delivery: Delivery }) {
  const { data, error, refetch } = useQuery(
    SubscriptionService.method.previewPayload,
    { subscription: { id: delivery.subscriptionId }, source: { case: "eventId", value: delivery.eventId } },
    { staleTime: Number.POSITIVE_INFINITY },
  );
  const hash = useSha256(data?.body);
  if (error !== null) return <Failure error={error} doing="render the body" onRetry={() => void refetch()} />;
  if (data === undefined) return <Loading what="the body" />;
  const sent = delivery.attempts.at(-1)?.request?.bodySha256;
  return (
    <div className="stack">
      <p className="hint">{verdict(sent, hash)}</p>
      <Body body={data.body} what="the body" />
    </div>
  );
}

function verdict(sent: string | undefined, hash: string | undefined): string {
  // Empty where the key that it was encrypted under is gone.
  if (sent === undefined || sent === "" || hash === undefined)
    return "Rendered from the stored event, as it would be sent now.";
  if (sent === hash)
    return "Rendered from the stored event. Byte for byte what the last attempt sent: the SHA-256 agrees.";
  return "Rendered from the stored event, as it would be sent now. The last attempt sent something else: the subscription was changed since.";
}

/** Hex; undefined where the page is not on https or localhost, without which a browser hashes nothing. */
function useSha256(body: Uint8Array | undefined): string | undefined {
  const [hash, setHash] = useState<string>();
  useEffect(() => {
    setHash(undefined);
    const { subtle } = globalThis.crypto as Partial<Crypto>;
    if (body === undefined || subtle === undefined) return;
    let isCurrent = true;
    void subtle.digest("SHA-256", new Uint8Array(body)).then((digest) => {
      if (isCurrent) setHash([...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
    });
    return () => {
      isCurrent = false;
    };
  }, [body]);
  return hash;
}
