/** PassKit's published SDKs as a test uses them: one set of calls, and the key as metadata of each call. */

/** A SinkSubscription as both SDKs have it, enums as numbers. What is left out is left unset. */
export interface Sink {
  readonly id?: string;
  readonly classId?: string;
  readonly protocol?: number;
  readonly passEventId?: readonly number[];
  readonly status?: number;
  readonly configType?: number;
  readonly configuration?: string;
  readonly membershipEvents?: readonly number[];
  readonly couponEvents?: readonly number[];
}

/** A SinkSubscription that was read: everything is there, and whether the times are. */
export type ReadSink = Required<Sink> & { readonly hasTimes: boolean };

export interface FieldFilter {
  readonly field: string;
  readonly value: string;
}

export interface SinkList {
  readonly classId?: string;
  readonly protocol?: number;
  readonly limit?: number;
  readonly offset?: number;
  /** All must hold; the operator is `eq`. */
  readonly filters?: readonly FieldFilter[];
}

/** Rejects with an `SdkError`. */
export interface PassKitSdk extends AsyncDisposable {
  create(sink: Sink): Promise<string>;
  get(protocol: number, subscriptionId: string): Promise<ReadSink>;
  list(list: SinkList): Promise<readonly ReadSink[]>;
  listDeprecated(list: SinkList): Promise<readonly ReadSink[]>;
  update(sink: Sink): Promise<string>;
  remove(protocol: number, subscriptionId: string): Promise<void>;
  sample(id: string): Promise<ReadSink>;
  getIntegrations(protocol: number, classId: string): Promise<void>;
}

/** What a call of an SDK failed with: gRPC's code and message. */
export class SdkError extends Error {
  override name = "SdkError";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
