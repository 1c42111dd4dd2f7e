import { isIP } from "node:net";
import { isAllowedAddress } from "../../kernel/addresses.ts";
import { type Clock, sleep } from "../../kernel/clock.ts";
import { CodedError } from "../../kernel/errors.ts";
import { checkUrl, type EndpointUrl, refusedAddress, type UrlRules } from "../../kernel/url.ts";
import { type ResolveHost, systemResolver } from "./resolver.ts";

export interface EndpointCheckOptions extends UrlRules {
  readonly clock: Clock;
  /** Default: DNS, then the system. */
  readonly resolve?: ResolveHost;
  /** How long a name may take to resolve. Default 5,000. */
  readonly timeoutMs?: number;
}

/**
 * The guard at creation: judges an endpoint's URL and resolves its host, so that its owner hears at once what each
 * attempt would say later. A name that does not resolve, or not in time, is accepted: DNS may follow the subscription,
 * and every connection checks again. A draft's is judged without resolving it: it is asked about at every keystroke.
 *
 * @returns the URL; `urlKey` is what tells it from others.
 * @throws CodedError `url.invalid`, or `guard.refused` where no address of the host is allowed. The message is a
 * predicate of the URL ("must …"), for a field violation.
 */
export function endpointCheck(
  options: EndpointCheckOptions,
): (text: string, isDraft?: boolean) => Promise<EndpointUrl> {
  const { clock, allowedNetworks, resolve = systemResolver(), timeoutMs = 5_000 } = options;
  return async (text, isDraft = false) => {
    const check = checkUrl(text, options);
    if (!check.ok) throw check.error;
    const { host } = check.url;
    if (isDraft || isIP(host) !== 0) return check.url;
    const addresses = await addressesOf(host, resolve, clock, timeoutMs);
    const isRefused = !addresses.some((address) => isAllowedAddress(address, allowedNetworks));
    if (addresses.length > 0 && isRefused) {
      // Not which: that would be a look into the names of the network that passbus stands in.
      throw new CodedError("guard.refused", refusedAddress(`every address that ${host} resolves to`));
    }
    return check.url;
  };
}

async function addressesOf(
  host: string,
  resolve: ResolveHost,
  clock: Clock,
  timeoutMs: number,
): Promise<readonly string[]> {
  const answered = new AbortController();
  const late = sleep(clock, timeoutMs, answered.signal).then(() => []);
  try {
    return await Promise.race([resolve(host).catch(() => []), late]);
  } finally {
    answered.abort();
  }
}
