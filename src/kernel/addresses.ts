/**
 * Which addresses webhooks may go to. Everything that is not plainly part of the public internet is refused: the IANA
 * special-purpose registries for IPv4 and IPv6, and what clouds keep for themselves. docs/decisions/guard.md says why.
 */
import { BlockList, isIP } from "node:net";
import { CodedError } from "./errors.ts";

/** A set of networks in CIDR form. */
export interface NetworkSet {
  readonly isEmpty: boolean;
  /** `address` is an IPv4 or IPv6 literal; anything else is in no set. An IPv4-mapped IPv6 address is its IPv4 address. */
  contains(address: string): boolean;
  /** It is in the set as a single address, and not as one of a network. */
  names(address: string): boolean;
}

/** IANA IPv4 special-purpose registry (RFC 6890 and its updates), multicast and class E. */
const REFUSED_IPV4 = [
  "0.0.0.0/8", // this network; 0.0.0.0 reaches the own host
  "10.0.0.0/8", // private
  "100.64.0.0/10", // carrier-grade NAT; Alibaba's metadata service
  "127.0.0.0/8", // loopback
  "168.63.129.16/32", // Azure's host agent, on a public address
  "169.254.0.0/16", // link-local; the clouds' metadata services
  "172.16.0.0/12", // private
  "192.0.0.0/24", // IETF protocol assignments; Oracle's metadata service
  "192.0.2.0/24", // documentation
  "192.31.196.0/24", // AS112
  "192.52.193.0/24", // AMT relays
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16", // private
  "192.175.48.0/24", // AS112
  "198.18.0.0/15", // benchmarking
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, and the limited broadcast
];

/** All that IANA has ever assigned as global unicast. Mapped, NAT64, unique local and link-local lie outside it. */
const GLOBAL_IPV6 = ["2000::/3"];

/** IANA IPv6 special-purpose registry, as far as it lies inside 2000::/3. */
const REFUSED_IPV6 = [
  "2001::/23", // IETF protocol assignments: Teredo, ORCHID, benchmarking
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4: carries an IPv4 address
  "2620:4f:8000::/48", // AS112
  "3ffe::/16", // 6bone, given back
  "3fff::/20", // documentation
];

/** Where clouds serve their machines' credentials: inside networks that operators let through. */
const METADATA_IPV4 = [
  { address: "100.100.100.200", bits: 32 }, // Alibaba
  { address: "168.63.129.16", bits: 32 }, // Azure's host agent
  { address: "169.254.0.23", bits: 32 }, // Tencent
  { address: "169.254.42.42", bits: 32 }, // Scaleway
  { address: "169.254.169.0", bits: 24 }, // nearly all: 169.254.169.254
  { address: "169.254.170.0", bits: 24 }, // Amazon's containers: 169.254.170.2, 169.254.170.23
  { address: "192.0.0.192", bits: 32 }, // Oracle
];
const METADATA_IPV6 = [
  "fd00:42::42", // Scaleway
  "fd00:c1::a9fe:a9fe", // Oracle
  "fd00:ec2::23", // Amazon's containers
  "fd00:ec2::254", // Amazon
  "fd20:ce::254", // Google
  "fe80::a9fe:a9fe", // OpenStack
];

const metadata = networkSet([
  ...METADATA_IPV4.map(({ address, bits }) => `${address}/${bits}`),
  // The same behind NAT64's well-known prefix (RFC 6052).
  ...METADATA_IPV4.map(({ address, bits }) => `64:ff9b::${address}/${96 + bits}`),
  ...METADATA_IPV6,
]);
const refused = networkSet([...REFUSED_IPV4, ...REFUSED_IPV6]);
const globalIpv6 = networkSet(GLOBAL_IPV6);

/**
 * Reads networks as `PASSBUS_ALLOWED_NETWORKS` has them: `10.0.0.0/8`, `fd00::/8`, or one address.
 * @throws CodedError `config.invalid`, with the one that does not parse.
 */
export function networkSet(cidrs: readonly string[]): NetworkSet {
  const list = new BlockList();
  const single = new BlockList();
  for (const cidr of cidrs) {
    const [address = "", prefix, ...rest] = cidr.split("/");
    const family = familyOf(address);
    const widest = family === "ipv4" ? 32 : 128;
    const bits = prefix === undefined ? widest : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
    if (family === undefined || bits < 0 || bits > widest || rest.length > 0) {
      throw new CodedError("config.invalid", `"${cidr}" is no network; right is 10.0.0.0/8, fd00::/8 or one address`);
    }
    list.addSubnet(address, bits, family);
    if (bits === widest) single.addAddress(address, family);
  }
  const isIn = (some: BlockList, address: string): boolean => {
    const family = familyOf(address);
    return family !== undefined && some.check(address, family);
  };
  return {
    isEmpty: cidrs.length === 0,
    contains: (address) => isIn(list, address),
    names: (address) => isIn(single, address),
  };
}

/**
 * May a webhook go there? `allowed` are the operator's exceptions: metadata services are none as part of a network, and
 * only where their address itself is named. What is not an address literal may not.
 */
export function isAllowedAddress(address: string, allowed: NetworkSet): boolean {
  const family = familyOf(address);
  if (family === undefined) return false;
  if (metadata.contains(address)) return allowed.names(address);
  if (allowed.contains(address)) return true;
  if (family === "ipv6" && (!globalIpv6.contains(address) || isIsatap(address))) return false;
  return !refused.contains(address);
}

/** RFC 5214 §6.1: an IPv4 address in the last 32 bits, behind any prefix, and a tunnel to it. */
function isIsatap(address: string): boolean {
  const [, , , , fifth, sixth] = groupsOf(address);
  return (fifth === 0 || fifth === 0x0200) && sixth === 0x5efe;
}

/** The eight groups of an IPv6 literal. */
function groupsOf(address: string): readonly number[] {
  // In its WHATWG form it has no IPv4 part.
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [left = [], right] = text
    .split("::")
    .map((part) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16))));
  if (right === undefined) return left;
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
}

/** A zone id (`fe80::1%eth0`) names an interface of this machine, so such a literal is none. */
function familyOf(address: string): "ipv4" | "ipv6" | undefined {
  const version = address.includes("%") ? 0 : isIP(address);
  return version === 0 ? undefined : version === 4 ? "ipv4" : "ipv6";
}
