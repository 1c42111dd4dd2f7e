/**
 * What every answer carries that is no RPC's: pages, their files, probes, refusals. A browser runs none of it but our own
 * files, shows it in no frame but those that the settings allow, and tells nobody where its user came from.
 */

/** Headers by their names in lower case. `frameAncestors`: origins whose pages may frame ours; none by default. */
export function pageHeaders(frameAncestors: readonly string[] = []): Readonly<Record<string, string>> {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    `frame-ancestors ${frameAncestors.length === 0 ? "'none'" : frameAncestors.join(" ")}`,
  ];
  return {
    "content-security-policy": policy.join("; "),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    // Browsers that know frame-ancestors leave this out of account; it can't name origins.
    ...(frameAncestors.length === 0 && { "x-frame-options": "DENY" }),
  };
}
