/**
 * The dashboard's built files, served at `/` (dist/dashboard; `npm run build:dashboard`). They are read once, at the
 * start: some hundred KB, each with its gzip and brotli forms beside it, so that serving one costs no disk and no
 * compression. The headers that pages carry have been set by then (page-headers.ts).
 */
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { HttpRequest, HttpResponse } from "./port.ts";

const BUILT = fileURLToPath(new URL("../../dist/dashboard/", import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Said where nothing was built. */
const UNBUILT = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>passbus</title>
<h1>passbus is running, without its dashboard</h1>
<p>It was started from sources that have none built. Build it with <code>npm ci &amp;&amp; npm run build:dashboard</code>
and start passbus again; <code>npm start</code> and <code>npm run demo</code> do so by themselves.</p>
</html>
`;

interface Forms {
  readonly type: string;
  readonly plain: Buffer;
  readonly gz?: Buffer;
  readonly br?: Buffer;
}

/** Answers what asks for the dashboard; false where the request is none of it, and nothing was done then. */
export type ServeDashboard = (request: HttpRequest, response: HttpResponse) => boolean;

export function dashboardFiles(directory: string = BUILT): ServeDashboard {
  const files = readForms(directory);
  const page = files.get("/index.html") ?? { type: TYPES[".html"] ?? "", plain: Buffer.from(UNBUILT) };
  return (request, response) => {
    if (request.method !== "GET" && request.method !== "HEAD") return false;
    const path = request.url?.split("?", 1)[0] ?? "";
    const file = path === "/index.html" ? undefined : files.get(path);
    if (file !== undefined) return send(request, response, file, "public, max-age=31536000, immutable");
    // Pages have addresses of their own, which the script reads: a browser that opens one gets the same page.
    if (path !== "/" && !asksForPage(request, path)) return false;
    return send(request, response, page, "no-cache");
  };
}

/** Pages whose addresses end with an id of somebody else's making, which may have dots. */
const WITH_FOREIGN_ID = /^\/(?:passes|events)\/[^/]+$/;

/** A browser's navigation. RPCs have a dot in their path and don't ask for HTML; neither do probes and scrapers. */
function asksForPage(request: HttpRequest, path: string): boolean {
  const isPage = !path.includes(".") || WITH_FOREIGN_ID.test(path);
  return isPage && String(request.headers.accept ?? "").includes("text/html");
}

function send(request: HttpRequest, response: HttpResponse, file: Forms, cacheControl: string): true {
  const accepted = String(request.headers["accept-encoding"] ?? "");
  response.setHeader("content-type", file.type);
  response.setHeader("cache-control", cacheControl);
  response.appendHeader("vary", "accept-encoding");
  const encoding = (["br", "gzip"] as const).find(
    (name) => accepts(accepted, name) && bodyIn(file, name) !== undefined,
  );
  if (encoding !== undefined) response.setHeader("content-encoding", encoding);
  const body = (encoding === undefined ? undefined : bodyIn(file, encoding)) ?? file.plain;
  response.setHeader("content-length", body.length);
  response.statusCode = 200;
  response.end(request.method === "HEAD" ? "" : body);
  return true;
}

function bodyIn(file: Forms, encoding: "br" | "gzip"): Buffer | undefined {
  return encoding === "br" ? file.br : file.gz;
}

/** RFC 9110 §12.5.3, of which a quality of 0 is all that matters here. */
function accepts(header: string, encoding: string): boolean {
  return header.split(",").some((item) => {
    const [name = "", ...parameters] = item.split(";").map((part) => part.trim().toLowerCase());
    return name === encoding && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter));
  });
}

function readForms(directory: string): ReadonlyMap<string, Forms> {
  const files = new Map<string, Forms>();
  let names: string[];
  try {
    names = readdirSync(directory, { recursive: true, encoding: "utf8" });
  } catch {
    return files;
  }
  const present = new Set(names);
  for (const name of names) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const read = (suffix: string) =>
      present.has(`${name}${suffix}`) ? readFileSync(join(directory, `${name}${suffix}`)) : undefined;
    const gz = read(".gz");
    const br = read(".br");
    files.set(`/${name.split("\\").join("/")}`, {
      type,
      plain: readFileSync(join(directory, name)),
      ...(gz !== undefined && { gz }),
      ...(br !== undefined && { br }),
    });
  }
  return files;
}
