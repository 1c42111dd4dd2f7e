/** What the sink's process and its owner say to each other, over Node's IPC. */

/**
 * How a path answers: with a response, at once or after a time; "hold", not before it is released (then with 200);
 * "hang", never. A path that nobody spoke of answers 200.
 */
export type Answer = Response | "hold" | "hang";

interface Response {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly afterMs?: number;
  /** The share of the requests, by chance, that is answered 503 instead. */
  readonly failing?: number;
}

/** One request as it came, judged by the receiver alone. */
export interface Receipt {
  readonly path: string;
  readonly method: string;
  readonly webhookId: string;
  /** It says `webhook-replay: true`. */
  readonly isReplay: boolean;
  /** Whom the body is about: PASSKIT bodies don't carry the event's id. Empty where the body has no pass. */
  readonly passId: string;
  /** When the request was there with its whole body, by the wall clock. */
  readonly atMs: number;
  /** What was answered; 0 while nothing was. */
  status: number;
  /** Signatures in `webhook-signature`. */
  readonly signatures: number;
  /** Which of the path's secrets (by their place) the npm package standardwebhooks verifies the request with. */
  readonly verifiedBy: readonly number[];
  /** Of `x-passkit-signature`, under the first secret; absent where the header is. */
  readonly bodySignatureHolds?: boolean;
}

export type SinkCommand =
  | { readonly kind: "answer"; readonly path: string; readonly answer: Answer }
  | { readonly kind: "secrets"; readonly path: string; readonly secrets: readonly string[] }
  /** Answers all that it holds at a path, and what comes there from now on. */
  | { readonly kind: "release"; readonly path: string }
  /** Every request, less the first `from`. */
  | { readonly kind: "receipts"; readonly from: number }
  /** Answered as soon as nobody is connected. */
  | { readonly kind: "left" }
  /** Answered as soon as each of the paths has so many different webhooks (repeats of one id count once). */
  | { readonly kind: "reach"; readonly paths: readonly string[]; readonly webhooks: number }
  /** Answered as soon as a path has answered 2xx to so many different webhooks. */
  | { readonly kind: "accepted"; readonly path: string; readonly webhooks: number }
  /** Answered as soon as a path has so many requests. */
  | { readonly kind: "requests"; readonly path: string; readonly requests: number };

export interface SinkCall {
  readonly call: number;
  readonly command: SinkCommand;
}

export type SinkMessage = { readonly port: number } | { readonly call: number; readonly receipts: readonly Receipt[] };
