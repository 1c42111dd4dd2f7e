/**
 * The table of all limits: what each is of, and what comes of meeting it. docs/limits.md is written from it and from
 * LIMITS; test/hostile/limits.test.ts meets those that are answered with an error.
 */
import type { ErrorCode } from "./errors.ts";
import type { LIMITS } from "./limits.ts";

/** What comes of meeting a limit: an error by its code, or what is done instead. */
type Met = { readonly error: ErrorCode } | { readonly effect: string };

export type LimitRow = Met & { readonly about: string };

export type LimitName = keyof typeof LIMITS;

export const LIMIT_ROWS = {
  eventBytes: { about: "One event as protobuf; of Kafka, a record's value too.", error: "limit.event_bytes" },
  webhookBytes: { about: "One webhook's body.", error: "format.failed" },
  deadLetterBytes: {
    about: "Of a dead letter's value, kept.",
    effect: "the rest is cut off, and the letter can't be sent again",
  },
  redriveBatch: { about: "Dead letters sent again in one call.", error: "request.invalid" },
  requestBytes: { about: "One request to the API, unpacked.", error: "limit.request_bytes" },
  publishBatch: { about: "Events of one PublishEvents.", error: "request.invalid" },
  pageSize: { about: "Things on one page of a list.", effect: "a page has no more, whatever is asked for" },
  defaultPageSize: { about: "Things on one page of a list that doesn't say.", effect: "the rest is on the next page" },
  requestDeadlineMs: {
    about: "A call's deadline.",
    effect: "DEADLINE_EXCEEDED; a call that asks for longer is refused",
  },
  streamsPerKey: { about: "Calls that stream, open with one key.", error: "limit.streams" },
  streamsPerOrganisation: { about: "The same over an organisation's keys.", error: "limit.streams" },
  streams: { about: "The same over all keys of one process.", error: "limit.streams" },
  liveStreamsPerKey: {
    about: "WatchChanges and WatchOverview, which count apart from the others, open with one key.",
    error: "limit.streams",
  },
  liveStreamsPerOrganisation: { about: "The same over an organisation's keys.", error: "limit.streams" },
  liveStreams: { about: "The same over all keys of one process.", error: "limit.streams" },
  streamsPerSession: { about: "Calls that stream, open with one portal session.", error: "limit.streams" },
  streamsPerEntity: { about: "The same over the portal sessions of one entity.", error: "limit.streams" },
  sessionStreamsPerOrganisation: {
    about: "The same over all portal sessions of an organisation.",
    error: "limit.streams",
  },
  liveStreamsPerSession: {
    about: "WatchChanges, which counts apart from the others, open with one portal session.",
    error: "limit.streams",
  },
  liveStreamsPerEntity: { about: "The same over the portal sessions of one entity.", error: "limit.streams" },
  sessionLiveStreamsPerOrganisation: {
    about: "The same over all portal sessions of an organisation.",
    error: "limit.streams",
  },
  sessionCallsPerSecond: { about: "Calls a second of one portal session, in the long run.", error: "limit.call_rate" },
  sessionCallBurst: { about: "The same at once.", error: "limit.call_rate" },
  entityCallsPerSecond: {
    about: "Calls a second of all portal sessions of one entity, in the long run.",
    error: "limit.call_rate",
  },
  entityCallBurst: { about: "The same at once.", error: "limit.call_rate" },
  organisationCallShares: {
    about:
      "How many times what one key may call a second, an organisation may with all keys and portal sessions; with those sessions as much as with one key.",
    error: "limit.call_rate",
  },
  watchItems: {
    about: "Events or deliveries that wait for one watcher to read on.",
    effect: "the oldest are skipped, and the watcher is told how many",
  },
  watchBytes: { about: "Their bytes.", effect: "the same" },
  publishAhead: {
    about: "Events of one PublishEventStream that were read and not answered.",
    effect: "the stream is read no further",
  },
  publishAheadBytes: { about: "Their bytes.", effect: "the same" },
  requestItems: {
    about: "Items of a list or map in a request; of an event's, its bytes count.",
    error: "request.invalid",
  },
  namedViolations: { about: "Mistakes of one request that its refusal names.", effect: "the others are not named" },
  messageCharacters: { about: "An error's message.", effect: "the rest is cut off" },
  messageDepth: { about: "Nesting of messages in JSON.", error: "request.invalid" },
  jsonDepth: { about: "Nesting of objects and lists in a JSON body, before it is parsed.", error: "request.invalid" },
  jsonValues: {
    about: "Values in a JSON body; of protobuf, unknown fields are not read, and lists have a limit of their own.",
    error: "limit.request_bytes",
  },
  jsonLocatedBytes: {
    about: "Of a JSON body that does not parse, looked through for the field to name.",
    effect: "the refusal names the type instead of the path",
  },
  wireDepth: { about: "Nesting of messages in protobuf.", error: "request.invalid" },
  contentDepth: { about: "Nesting of a pass's content.", error: "request.invalid" },
  portConnections: {
    about: "Connections to the API's port.",
    effect: "the oldest that was never used with a key that counts is closed",
  },
  portHeaderBytes: { about: "A request's header.", effect: "HTTP/1.1: 431. HTTP/2: the stream is refused" },
  portHeaders: { about: "Headers of a request.", effect: "HTTP/1.1: 431. HTTP/2: the stream is refused" },
  portHeadersTimeoutMs: {
    about: "A request's header, a TLS handshake, the preface of HTTP/2, silence at first.",
    effect: "the connection is closed (HTTP/1.1: 408)",
  },
  portRequestTimeoutMs: { about: "A whole request of HTTP/1.1.", effect: "408, and the connection is closed" },
  portKeepAliveMs: { about: "An idle connection of HTTP/1.1.", effect: "it is closed" },
  portUnusedMs: { about: "A connection of HTTP/2 without a call.", effect: "it is closed" },
  portSessionIdleMs: { about: "A connection of HTTP/2 without a frame.", effect: "it is closed" },
  portRenewMs: {
    about: "A call or stream over a connection with a client's certificate, after the revocation lists have changed.",
    effect: "it ends with its connection",
  },
  portCalls: { about: "Calls at the same time over one connection of HTTP/2.", effect: "the stream is refused" },
  portPipelined: {
    about: "Requests over one connection of HTTP/1.1 before the first is answered.",
    effect: "the connection is closed",
  },
  portResets: { about: "Calls that a connection of HTTP/2 cancels at once.", effect: "the connection is closed" },
  portResetsPerSecond: { about: "The same a second, in the long run.", effect: "the connection is closed" },
  portFloodBytes: {
    about: "What a connection of HTTP/2 sends at once beside calls and bodies.",
    effect: "the connection is closed (ENHANCE_YOUR_CALM)",
  },
  portFloodBytesPerSecond: {
    about: "The same a second, in the long run.",
    effect: "the connection is closed (ENHANCE_YOUR_CALM)",
  },
  portStreamWindowBytes: {
    about: "Of one call's body, sent before it is read.",
    effect: "the sender waits (flow control)",
  },
  portSessionWindowBytes: { about: "The same over one connection.", effect: "the sender waits (flow control)" },
  portPieceBytes: {
    about: "Of a connection that was never used with a key that counts, read before others have their turn.",
    effect: "the rest waits for its next turn",
  },
  portTurnBytes: {
    about: "Of all such connections, in one turn of the event loop.",
    effect: "the same, and for `portTurnMs` more",
  },
  portTurnMs: {
    about: "The time that goes to them in one turn, which a request of theirs ends too.",
    effect: "the same, and for as long again",
  },
  keylessBytes: { about: "One request of Health, which needs no key, unpacked.", error: "limit.request_bytes" },
  reflectionBytes: { about: "One request of reflection, which needs none either.", error: "limit.request_bytes" },
  keylessTimeoutMs: { about: "A whole unary request without a key.", effect: "it is cut" },
  bodyBytes: {
    about: "Bodies that have not come whole yet, of all calls with a key and requests to bins, in one process.",
    error: "limit.bodies",
  },
  bodyBytesPerOrganisation: { about: "Of them those of one organisation's calls.", error: "limit.bodies" },
  ownBodyBytes: {
    about: "The same of an organisation whose keys' calls hold no more.",
    effect: "they go on though others have used all up",
  },
  sessionRequestBytes: {
    about: "One request of a portal session, as it comes: packed, where it is packed.",
    error: "limit.request_bytes",
  },
  bodyBytesPerSession: {
    about: "Bodies that have not come whole yet, of one portal session's calls.",
    error: "limit.bodies",
  },
  bodyBytesPerEntity: { about: "The same over the portal sessions of one entity.", error: "limit.bodies" },
  sessionBodyBytesPerOrganisation: {
    about: "The same over all portal sessions of an organisation.",
    error: "limit.bodies",
  },
  sessionBodyBytes: { about: "The same over all portal sessions, in one process.", error: "limit.bodies" },
  ownSessionBodyBytes: {
    about: "The same of an organisation whose portal sessions hold no more.",
    effect: "they go on though those of others have used all up",
  },
  binBodiesBytes: { about: "Of them those of requests to bins.", effect: "503" },
  keylessStreams: { about: "Health.Watch and reflection, open in one process.", error: "limit.streams" },
  keylessStreamsPerPeer: { about: "The same from one address.", error: "limit.streams" },
  keylessStreamsPerSecond: {
    about: "The same that one address (of IPv6 a /64) may begin in a second, refused or not.",
    effect: "the stream is refused (REFUSED_STREAM; over HTTP/1.1 429)",
  },
  tokenCharacters: { about: "Of an issuer's token.", error: "auth.invalid" },
  keyCertificates: { about: "Clients' certificates that speak for one key.", error: "limit.key_certificates" },
  ratesSettable: { about: "Calls or events a second that an organisation may be given.", error: "request.invalid" },
  pemCharacters: { about: "Each of an endpoint's certificates and keys.", error: "request.invalid" },
  countedRows: { about: "Rows of counts by subscription and minute.", effect: "only those of whole tenants are kept" },
  statsPoints: { about: "Points of one answer of statistics.", error: "request.invalid" },
  bins: { about: "Request bins of one organisation.", error: "limit.bins" },
  binRequests: { about: "Requests that one bin keeps.", effect: "the oldest go" },
  binCharacters: { about: "The characters that they take, encrypted.", effect: "the oldest go" },
  binBodyBytes: { about: "The body of a request to a bin.", effect: "413" },
  binRequestsPerSecond: { about: "Requests a second that one bin takes, in the long run.", effect: "429" },
  binBurst: { about: "The same at once.", effect: "429" },
  organisationBinRequestsPerSecond: {
    about: "Requests a second that all bins of an organisation take, in the long run.",
    effect: "429",
  },
  organisationBinBurst: { about: "The same at once.", effect: "429" },
  idCharacters: { about: "Ids, and names of passes, classes and entities.", error: "request.invalid" },
  urlCharacters: { about: "An endpoint's URL.", error: "url.invalid" },
  descriptionCharacters: { about: "Descriptions and reasons.", error: "request.invalid" },
  labels: { about: "Labels of a subscription.", error: "request.invalid" },
  labelCharacters: { about: "A label's name, and its value.", error: "request.invalid" },
  customHeaders: { about: "Headers that a subscription adds.", error: "request.invalid" },
  customHeaderBytes: { about: "All of them together.", error: "request.invalid" },
  authorizationCharacters: { about: "The Authorization header that a subscription stores.", error: "request.invalid" },
  keys: { about: "Keys of one environment that are neither revoked nor expired.", error: "limit.keys" },
  portalSessions: { about: "The same of portal sessions.", error: "limit.portal_sessions" },
  organisationSubscriptions: {
    about: "Subscriptions of an organisation's own scope, where it was given no other number (SetLimits).",
    error: "limit.subscriptions",
  },
  entitySubscriptions: { about: "Subscriptions of one entity, likewise.", error: "limit.subscriptions" },
  subscriptionsSettable: { about: "What an organisation may be given of either.", error: "request.invalid" },
  listedSubscriptions: {
    about: "Subscriptions that one page of a narrowed list looks at.",
    effect: "the page may be short; the next goes on",
  },
  directSends: { about: "Test sends and challenges in flight in one process.", error: "limit.direct_sends" },
  directSendsPerOrganisation: { about: "The same of one organisation.", error: "limit.direct_sends" },
  directSendsPerSession: { about: "The same of one portal session.", error: "limit.direct_sends" },
  directSendsPerEntity: { about: "The same over the portal sessions of one entity.", error: "limit.direct_sends" },
  sessionDirectSendsPerOrganisation: {
    about: "The same over all portal sessions of an organisation.",
    error: "limit.direct_sends",
  },
  sessionDirectSends: {
    about: "The same over all portal sessions, in one process.",
    error: "limit.direct_sends",
  },
  passkitClassSubscriptions: {
    about: "Subscriptions of a class, where PassKit's API is to make one more.",
    error: "limit.subscriptions",
  },
  passkitConfigurationCharacters: {
    about: "The JSON text in a SinkSubscription's `configuration`.",
    error: "request.invalid",
  },
  passkitSortedSubscriptions: {
    about: "Subscriptions that PassKit's list puts in an order of its own.",
    error: "request.invalid",
  },
  liveSecrets: {
    about: "Secrets of a subscription that sign at the same time.",
    effect: "a rotation ends the older one",
  },
  rotationOverlapMs: { about: "How long the older of two secrets goes on.", error: "request.invalid" },
  disabledSpans: {
    about: "Spans in which a person had a subscription disabled, remembered.",
    effect: "the oldest is forgotten",
  },
  filterCharacters: { about: "A filter's text.", error: "request.invalid" },
  filterNodes: { about: "What it is made of.", error: "request.invalid" },
  filterDepth: { about: "How deep that nests.", error: "request.invalid" },
  filterCost: { about: "Units of work of one filter on one event.", error: "filter.cost" },
  retentionMinMs: {
    about: "The shortest time that an organisation may ask its things to be kept for.",
    error: "request.invalid",
  },
  retentionMaxMs: { about: "The longest.", error: "request.invalid" },
  openReplays: { about: "Replays of a tenant, running or paused.", error: "limit.replays" },
  replayUnderWay: {
    about: "Deliveries of one replay that wait for their first attempt or are in it.",
    effect: "the replay waits",
  },
  replayCounted: {
    about: "What fits a replay's filter, counted when it is made.",
    effect: "the count says that there are more",
  },
  replayDryRun: { about: "The same in a dry run.", effect: "the count says that there are more" },
  retrySteps: { about: "Steps of a retry schedule.", error: "request.invalid" },
  retryStepMinMs: { about: "The shortest of them.", error: "request.invalid" },
  retryStepMaxMs: { about: "The longest of them.", error: "request.invalid" },
  attemptTimeoutMinMs: { about: "The shortest time that an attempt may be given.", error: "request.invalid" },
  attemptTimeoutMaxMs: { about: "The longest.", error: "request.invalid" },
  maxInFlight: { about: "Requests in flight to one endpoint.", error: "request.invalid" },
  rateMin: { about: "The lowest rate to one endpoint, a second.", error: "request.invalid" },
  rateMax: { about: "The highest.", error: "request.invalid" },
  burst: { about: "Requests to one endpoint that go at once after a rest.", error: "request.invalid" },
  responseExcerptBytes: { about: "Of a response, kept.", effect: "the rest is left out" },
  responseReadBytes: { about: "Of a response, read at all.", effect: "the connection is closed" },
  responseHeaderBytes: { about: "A response's header.", error: "response.invalid" },
  interimResponses: { about: "Interim responses (1xx) before the one that counts.", error: "response.invalid" },
  attemptsKept: { about: "Attempts kept of one delivery.", effect: "the first and the last ones stay" },
  readAheadEvents: { about: "Events that were read and not planned.", effect: "the log is read no further" },
  readAheadBytes: { about: "Their bytes.", effect: "the same" },
  pendingDeliveries: { about: "Deliveries of all lanes in memory.", effect: "no more events are planned" },
  pendingEventBytes: { about: "The bytes of their events.", effect: "the same" },
  ownDeliveries: {
    about: "Deliveries of one organisation in memory for which it waits for nobody.",
    effect: "it waits with the others",
  },
  sharedDeliveries: { about: "Such deliveries of all organisations.", effect: "all wait" },
  laneQueue: { about: "Deliveries that wait in memory for one endpoint.", effect: "the others wait in the store" },
  inFlight: { about: "Requests in flight over all endpoints.", effect: "the others wait" },
  slowInFlight: { about: "Requests in flight that have taken long already.", effect: "they count among the others" },
  slowEventBytes: { about: "The bytes of their events.", effect: "the same" },
  unflushedRows: {
    about: "Events and outcomes that are not yet durable.",
    effect: "no new attempt starts, and no more events are planned",
  },
  unflushedBytes: { about: "The bytes of such events.", effect: "the same" },
} as const satisfies Record<LimitName, LimitRow>;
