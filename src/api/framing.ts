/**
 * Requests over HTTP/1.1 whose head could be read in two ways, by us and by a proxy before us. node:http refuses most of
 * them (two lengths, a length beside chunks, folded lines, bare line feeds, blanks in names); what it lets through and a
 * server must not is here.
 */
import type { IncomingMessage } from "node:http";

/** Headers of which a second one would be left out of account, by us or by a proxy before us. */
const ONCE: ReadonlySet<string> = new Set(["host", "authorization", "content-type", "content-encoding"]);

/** The status to refuse the request with; undefined where there is nothing wrong with its head. */
export function framingFault({ httpVersion, headers, rawHeaders }: IncomingMessage): number | undefined {
  // RFC 9112 §2.3 and §2.6: anything else is another protocol.
  if (httpVersion !== "1.1" && httpVersion !== "1.0") return 505;
  const coding = headers["transfer-encoding"];
  if (coding !== undefined) {
    // RFC 9112 §6.1: chunks in a request of HTTP/1.0 are a faulty frame; a coding that we don't undo is not for us.
    if (httpVersion === "1.0") return 400;
    if (coding.toLowerCase() !== "chunked") return 501;
  }
  const seen = new Set<string>();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? "";
    if (!ONCE.has(name)) continue;
    // RFC 9112 §3.2: of two hosts; of the others by RFC 9110 §5.3, a sender must not.
    if (seen.has(name)) return 400;
    seen.add(name);
  }
  return undefined;
}
