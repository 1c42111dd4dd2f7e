/** How much callers may ask of one process of the API, a second. */

/** What an organisation was given. What is absent is as the service has it. */
export interface OrganisationRates {
  /** Calls of each of its keys. */
  readonly callsPerSecond?: number;
  /** Events that it publishes. */
  readonly eventsPerSecond?: number;
}

/** What holds where an organisation was given nothing else; 0 is any number. */
export type ServiceRates = Required<OrganisationRates>;
