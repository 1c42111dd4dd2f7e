const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Everything has a limit, and meeting one is a clear error or back-pressure, never growth (design, section 7).
 * Units stand in the names.
 */
export const LIMITS = {
  /** One event as protobuf. */
  eventBytes: 256 * KIB,
  /**
   * One webhook's body. JSON escapes make six bytes of one at most, so every event fits that isn't a list of thousands
   * of empty messages or enums, of which two bytes of protobuf become sixty of JSON.
   */
  webhookBytes: 2 * MIB,
  /** Of a dead letter's value, kept: one that is larger could not become an event anyway. */
  deadLetterBytes: 1 * MIB,
  /** Dead letters sent again in one call. */
  redriveBatch: 500,
  /** One request to the API, decompressed. */
  requestBytes: 4 * MIB,
  publishBatch: 1_000,
  pageSize: 500,
  defaultPageSize: 50,
  /** A call's deadline; what a client asks beyond it is refused. */
  requestDeadlineMs: 60_000,
  /** Calls that stream, open at the same time with one key. */
  streamsPerKey: 32,
  /** The same over the keys of an organisation, so that none takes what all share. */
  streamsPerOrganisation: 64,
  /** The same over all keys of one process. */
  streams: 256,
  /** WatchChanges and WatchOverview, which say little and hold little, apart from the others: open with one key. */
  liveStreamsPerKey: 64,
  /** The same over the keys of an organisation. */
  liveStreamsPerOrganisation: 256,
  /** The same over all keys of one process. */
  liveStreams: 1_024,
  /**
   * Of portal sessions, which customers' browsers make as they load pages, fewer: open with one session, of the calls that
   * stream each event or delivery and of those that keep a page live,
   */
  streamsPerSession: 8,
  /** over the sessions of one entity, */
  streamsPerEntity: 16,
  /** and over all sessions of an organisation: half of what is its own, so that its keys always have the rest. */
  sessionStreamsPerOrganisation: 32,
  liveStreamsPerSession: 8,
  liveStreamsPerEntity: 32,
  sessionLiveStreamsPerOrganisation: 128,
  /** Calls a second of one portal session, in the long run and at once. */
  sessionCallsPerSecond: 50,
  sessionCallBurst: 200,
  /** The same over the portal sessions of one entity. */
  entityCallsPerSecond: 200,
  entityCallBurst: 400,
  /**
   * So many times what one key may call, an organisation may with all of its keys and portal sessions; with those
   * sessions as much as with one key.
   */
  organisationCallShares: 4,
  /** Events or deliveries that wait for one watcher to read on; the oldest are skipped. */
  watchItems: 1_000,
  /** Their bytes. */
  watchBytes: 1 * MIB,
  /** Events of one PublishEventStream that were read and not answered. */
  publishAhead: 1_000,
  /** Their bytes. */
  publishAheadBytes: 4 * MIB,
  /** Mistakes of one request that its refusal names: the answer is for people, and travels in headers. */
  namedViolations: 20,
  /** Of a list or map in a request that is no event's. */
  requestItems: 1_000,
  /** Of an error's message, which travels in a header too: clients take 8 KiB of all headers together. */
  messageCharacters: 2_000,
  /** Nesting of a message or of a Struct in JSON. */
  messageDepth: 64,
  /** Nesting of objects and lists in a JSON body, before it is parsed; what may nest less deep is named afterwards. */
  jsonDepth: 1_000,
  /** Values in a JSON body: to parse one costs many times what its bytes cost to send. */
  jsonValues: 100_000,
  /** Of a JSON body that does not parse, looked through for the field that is to be named. */
  jsonLocatedBytes: 256 * KIB,
  /** Of a message in protobuf, where a pass's content takes two levels for each of its own. */
  wireDepth: 80,
  /** Nesting of a pass's content: two levels of protobuf each, of which readers go 100 deep and no deeper. */
  contentDepth: 32,

  /** Connections to the API's port; beyond them the oldest that was never used with a key that counts makes room. */
  portConnections: 10_000,
  /** Of a request's header, over HTTP/1.1 and HTTP/2. */
  portHeaderBytes: 16 * KIB,
  portHeaders: 100,
  /** From the first byte of a header to its last; also of a TLS handshake, an HTTP/2 preface, and of silence at first. */
  portHeadersTimeoutMs: 10_000,
  /** A whole HTTP/1.1 request; the answer has the call's own deadline. */
  portRequestTimeoutMs: 60_000,
  /** An idle HTTP/1.1 connection is kept this long, as load balancers expect (they keep 60 s). */
  portKeepAliveMs: 65_000,
  /** Of an HTTP/2 connection that asked for nothing yet. */
  portUnusedMs: 65_000,
  /** An HTTP/2 connection without a frame is closed after this. */
  portSessionIdleMs: 10 * 60_000,
  /** Calls under way over a connection with a client's certificate, once revocation lists have changed. */
  portRenewMs: 10_000,
  /** Calls at the same time over one HTTP/2 connection. */
  portCalls: 256,
  /** Requests that come over one HTTP/1.1 connection before the first is answered. */
  portPipelined: 8,
  /** Calls that an HTTP/2 connection may cancel at once: all that it can have open; */
  portResets: 256,
  /** and a second, for as long as it likes. */
  portResetsPerSecond: 33,
  /** What an HTTP/2 connection may send at once beside calls and the bodies that are read: a window's worth, and some. */
  portFloodBytes: 1_280 * KIB,
  /** The same a second. */
  portFloodBytesPerSecond: 256 * KIB,
  /** How much of one call's body may be under way: a batch of 100 events without waiting for the other side. */
  portStreamWindowBytes: 256 * KIB,
  portSessionWindowBytes: 1 * MIB,
  /** Of connections that were never used with a key that counts: read of one before the others have their turn, */
  portPieceBytes: 256,
  /** and of all of them in one turn of the event loop, and for how long; then, and after a request, they rest for as long. */
  portTurnBytes: 64 * KIB,
  portTurnMs: 1,
  /** One request of Health, which needs no key, unpacked. */
  keylessBytes: 1 * KIB,
  /** One request of reflection, which needs none either. */
  reflectionBytes: 8 * KIB,
  /** From the beginning of a unary request without a key to its answer. */
  keylessTimeoutMs: 10_000,
  /** Bodies that have not come whole yet, of all calls with a key and requests to bins, */
  bodyBytes: 64 * MIB,
  /** of them those of one organisation, */
  bodyBytesPerOrganisation: 32 * MIB,
  /** and those of requests to bins: whoever has a key comes first. */
  binBodiesBytes: 16 * MIB,
  /** An organisation whose keys have fewer goes on with them though others have used all up. */
  ownBodyBytes: 256 * KIB,
  /** One request of a portal session, as it comes: a subscription with all that it may have takes half of it. */
  sessionRequestBytes: 256 * KIB,
  /** Of bodies that have not come whole yet, those of one portal session, */
  bodyBytesPerSession: 512 * KIB,
  /** of the sessions of one entity, */
  bodyBytesPerEntity: 1 * MIB,
  /** of all sessions of an organisation, a quarter of what is its own, */
  sessionBodyBytesPerOrganisation: 8 * MIB,
  /** and of all sessions: with those of bins half of what there is, so that keys always have the rest. */
  sessionBodyBytes: 16 * MIB,
  /** The sessions of an organisation with fewer go on though those of others have used all up. */
  ownSessionBodyBytes: 64 * KIB,
  /** Health.Watch and reflection, which need no key: open in one process. */
  keylessStreams: 128,
  /** From one address. */
  keylessStreamsPerPeer: 16,
  /** From one address, refused or not; one more in a second is no call at all, which costs more than it is worth. */
  keylessStreamsPerSecond: 64,

  idCharacters: 128,
  urlCharacters: 2_048,
  descriptionCharacters: 1_000,
  labels: 32,
  labelCharacters: 128,
  customHeaders: 20,
  customHeaderBytes: 4 * KIB,
  /** Of the static Authorization header that a subscription may store. */
  authorizationCharacters: 2_048,
  /** Keys of one environment that are neither revoked nor expired. */
  keys: 1_000,
  /** The same of portal sessions. */
  portalSessions: 10_000,
  /** Of an issuer's token: headers hold twice as much in all. */
  tokenCharacters: 8 * KIB,
  /** Clients' certificates that speak for one key. */
  keyCertificates: 10,
  organisationSubscriptions: 10,
  entitySubscriptions: 10,
  /** What an organisation may be given of either. */
  subscriptionsSettable: 10_000,
  /** Calls or events a second that an organisation may be given. */
  ratesSettable: 1_000_000,
  /** Subscriptions that one page of a list looks at, where it is narrowed by what no index has. */
  listedSubscriptions: 2_000,
  /** Test sends and challenges in flight in one process: they skip the caps of the endpoints. */
  directSends: 32,
  /** Of one organisation. */
  directSendsPerOrganisation: 8,
  /** Of one portal session, */
  directSendsPerSession: 1,
  /** of the sessions of one entity, */
  directSendsPerEntity: 2,
  /** of all sessions of an organisation, */
  sessionDirectSendsPerOrganisation: 4,
  /** and of all sessions: half of what there is, so that keys always have the rest. */
  sessionDirectSends: 16,
  /** Of a class, whichever API made them, before PassKit's makes no more. */
  passkitClassSubscriptions: 100,
  /** The JSON text in a SinkSubscription's `configuration`. */
  passkitConfigurationCharacters: 16 * KIB,
  /** Subscriptions that PassKit's list puts in an order of its own. */
  passkitSortedSubscriptions: 10_000,
  liveSecrets: 2,
  rotationOverlapMs: 7 * 24 * 3_600_000,
  /** Spans in which a person had a subscription disabled, kept to decide DROP by log time. */
  disabledSpans: 20,

  /** Of a filter's text, what it is made of, and how deep that nests. */
  filterCharacters: 2_048,
  filterNodes: 400,
  filterDepth: 32,
  /** Units of work of one filter on one event; CostMeter says what a unit is. */
  filterCost: 1_000,

  /** What an organisation may ask its things to be kept for. */
  retentionMinMs: 3_600_000,
  retentionMaxMs: 3_650 * 24 * 3_600_000,

  /** Of a tenant, running or paused. */
  openReplays: 10,
  /** Deliveries of one replay that wait for their first attempt or are in it: beyond them it waits. */
  replayUnderWay: 1_000,
  /** What fits a replay's filter is counted so far when it is made, */
  replayCounted: 100_000,
  /** and so far in a dry run. */
  replayDryRun: 1_000_000,

  retrySteps: 30,
  retryStepMinMs: 100,
  retryStepMaxMs: 7 * 24 * 3_600_000,
  attemptTimeoutMinMs: 1_000,
  /** Well under the lease of 60 s, so that an attempt ends before another worker may take its delivery. */
  attemptTimeoutMaxMs: 30_000,
  maxInFlight: 256,
  /** Of requests a second to one endpoint. */
  rateMin: 0.01,
  rateMax: 10_000,
  /** Of requests to one endpoint that go at once after a rest. */
  burst: 10_000,

  /** Of a response, kept in the attempt's record. */
  responseExcerptBytes: 4 * KIB,
  /** Of a response, read at all: beyond it the connection is closed. */
  responseReadBytes: 64 * KIB,
  responseHeaderBytes: 16 * KIB,
  /** Interim responses (1xx) before the one that counts: a flood of them is cut, not parsed until the deadline. */
  interimResponses: 32,
  /** Attempts kept of one delivery: the first, and the last ones. */
  attemptsKept: 21,

  /** Events that were read and not planned before the log is read no further: as far as one organisation's backlog is looked behind. */
  readAheadEvents: 20_000,
  /** Their bytes. */
  readAheadBytes: 32 * MIB,
  /** Deliveries of all lanes in memory before no more events are planned, */
  pendingDeliveries: 1_024,
  /** and the bytes of the events that they hold. */
  pendingEventBytes: 64 * MIB,
  /** An organisation with fewer deliveries in memory has its events planned though others have used that up, */
  ownDeliveries: 16,
  /** as long as all have fewer than this, of each no more counted than that. */
  sharedDeliveries: 512,
  /** Each of an endpoint's certificates and keys. */
  pemCharacters: 32 * 1_024,
  /** Deliveries that wait in memory for one endpoint. */
  laneQueue: 256,
  /** Requests in flight over all endpoints, less those that have taken long. */
  inFlight: 1_024,
  /** Requests in flight that have taken long already: they keep a connection, and nobody waits for them. */
  slowInFlight: 4_096,
  /** Bytes of the events that such requests hold. */
  slowEventBytes: 256 * MIB,
  /** Rows of counts by subscription and minute before only those of whole tenants are kept. */
  countedRows: 10_000,
  /** Points of one answer of statistics. */
  statsPoints: 2_000,

  /** Request bins of one organisation. */
  bins: 100,
  /** Requests that one bin keeps, the newest, */
  binRequests: 500,
  /** and the characters that they take, encrypted. */
  binCharacters: 4 * MIB,
  /** The body of a request to a bin. */
  binBodyBytes: 256 * KIB,
  /** Requests a second that one bin takes in one process, in the long run and at once. */
  binRequestsPerSecond: 50,
  binBurst: 200,
  /** The same of all bins of one organisation. */
  organisationBinRequestsPerSecond: 100,
  organisationBinBurst: 400,

  /** Events and outcomes not yet durable before no new attempt starts and no more events are planned, */
  unflushedRows: 4_096,
  /** and the bytes of such events: what one flush takes, and as much again. */
  unflushedBytes: 32 * MIB,
} as const;
