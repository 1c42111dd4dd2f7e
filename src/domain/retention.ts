/** How long things are kept, in milliseconds. */

/** What an organisation was given. What is absent is as the service has it. */
export interface OrganisationRetention {
  /** Of an event, from its record or the end of its last delivery. */
  readonly eventRetentionMs?: number;
  /** Of a delivery, from its end. */
  readonly deliveryRetentionMs?: number;
  /** Of an event's payload, from where the event's runs. Absent everywhere: as long as the event. */
  readonly payloadRetentionMs?: number;
}

/** What holds where an organisation was given nothing else. */
export interface ServiceRetention extends OrganisationRetention {
  readonly eventRetentionMs: number;
  readonly deliveryRetentionMs: number;
}
