declare module "snappyjs" {
  export function compress(bytes: Buffer): Buffer;
  export function uncompress(bytes: Buffer): Buffer;
}

declare module "kafkajs/src/consumer/consumerGroup.js" {
  /** One member. Only what rejoin.ts mends is declared. */
  class ConsumerGroup {
    /** Null before the group has given it one. */
    readonly memberId: string | null;
    joinAndSync(): Promise<void>;
  }
  export = ConsumerGroup;
}

declare module "kafkajs/src/network/requestQueue/index.js" {
  /** One connection's requests. Only what idle.ts mends, and what its test does, is declared. */
  class RequestQueue {
    constructor(options: Readonly<Record<string, unknown>>);
    throttledUntil: number;
    throttleCheckTimeoutId: NodeJS.Timeout | null;
    readonly pending: readonly unknown[];
    push(request: object): void;
    fulfillRequest(answer: object): void;
    maybeThrottle(forMs: number): void;
    checkPendingRequests(): void;
    scheduleCheckPendingRequests(): void;
  }
  export = RequestQueue;
}
