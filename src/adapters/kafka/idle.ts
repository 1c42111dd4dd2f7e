import RequestQueue from "kafkajs/src/network/requestQueue/index.js";

/** How often kafkajs looks whether a request that had to wait may go. */
const LOOK_EVERY_MS = 10;

/**
 * Takes the busy loop out of kafkajs 2.2.4 (its issues 1556, 1704 and 1751): once a connection has had an answer it looks
 * a thousand times a second for requests that wait, although there are none. With this it looks while there are some.
 * An answer that arrives, and a request that is made, look by themselves.
 */
export function mendIdleLoop(): void {
  RequestQueue.prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return;
    const waitMs = Math.max(this.throttledUntil - Date.now(), LOOK_EVERY_MS);
    this.throttleCheckTimeoutId = setTimeout(() => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    }, waitMs);
  };
}
