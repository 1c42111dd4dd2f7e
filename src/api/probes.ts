/** What is on the port besides RPCs: the probes of load balancers and Kubernetes. */
import type { HttpRequest, HttpResponse } from "./port.ts";
import type { ReadReadiness } from "./readiness.ts";

/** Answers `/healthz` (200 while the process lives) and `/readyz` (200, or 503 with the reasons); 404 for the rest. */
export function probes(readiness: ReadReadiness): (request: HttpRequest, response: HttpResponse) => Promise<void> {
  return async (request, response) => {
    const path = request.url?.split("?", 1)[0];
    const reads = request.method === "GET" || request.method === "HEAD";
    if (path !== "/healthz" && path !== "/readyz") return answer(request, response, 404, { error: "not found" });
    if (!reads) {
      response.setHeader("allow", "GET, HEAD");
      return answer(request, response, 405, { error: "use GET" });
    }
    if (path === "/healthz") return answer(request, response, 200, { status: "alive" });
    const { ready, reasons } = await readiness();
    return answer(request, response, ready ? 200 : 503, { ready, reasons });
  };
}

function answer(request: HttpRequest, response: HttpResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.statusCode = status;
  response.setHeader("content-type", "application/json");
  response.setHeader("content-length", Buffer.byteLength(text));
  response.setHeader("cache-control", "no-store");
  response.end(request.method === "HEAD" ? "" : text);
}
