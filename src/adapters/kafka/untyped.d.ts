declare module "snappyjs" {
  export function compress(bytes: Buffer): Buffer;
  export function uncompress(bytes: Buffer): Buffer;
}

declare module "kafkajs/src/broker/index.js" {
  /** One broker. Only what aborted.ts mends is declared, with what an answer says of transactions. */
  class Broker {
    fetch(request: object): Promise<Broker.FetchAnswer>;
  }
  namespace Broker {
    interface FetchAnswer {
      readonly responses: ReadonlyArray<{ readonly partitions: readonly FetchedPartition[] }>;
    }
    interface FetchedPartition {
      /** Absent from a broker of before transactions. */
      abortedTransactions?: ReadonlyArray<{ readonly producerId: string; readonly firstOffset: string }>;
      readonly messages: readonly FetchedRecord[];
    }
    interface FetchedRecord {
      readonly key: Buffer | null;
      /** Such a record is not handed out, and its offset is resolved with those round it. */
      isControlRecord: boolean;
      readonly batchContext?: {
        readonly firstOffset: string;
        readonly lastOffsetDelta: number;
        readonly producerId: string;
        readonly inTransaction: boolean;
      };
    }
  }
  export = Broker;
}

declare module "kafkajs/src/consumer/batch.js" {
  /** What one fetch brought of one partition. Only what the test of aborted.ts asks is declared. */
  class Batch {
    constructor(topic: string, fetchedOffset: string, partition: object);
    readonly messages: ReadonlyArray<{ readonly offset: string }>;
    lastOffset(): string;
  }
  export = Batch;
}

declare module "kafkajs/src/consumer/consumerGroup.js" {
  /** One member. Only what rejoin.ts and out-of-range.ts mend is declared. */
  class ConsumerGroup {
    /** Null before the group has given it one. */
    readonly memberId: string | null;
    joinAndSync(): Promise<void>;
    recoverFromOffsetOutOfRange(error: { readonly topic: string; readonly partition: number }): Promise<void>;
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
