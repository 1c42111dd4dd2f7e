/** Addresses that calls come from. */
import { isIPv6 } from "node:net";

/** An IPv4 address that an IPv6 socket took is an IPv4 address. A zone (`%eth0`) says nothing to others. */
export function peerAddress(address: string): string {
  const plain = address.replace(/%.*$/, "").toLowerCase();
  return plain.startsWith("::ffff:") && plain.includes(".") ? plain.slice("::ffff:".length) : plain;
}

/** Whom refusals are counted by: of IPv6 the network of 64 bits, since one customer has as many addresses as he likes. */
export function peerNetwork(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  const behind = tail === undefined || tail === "" ? [] : tail.split(":");
  // A dotted tail stands for two groups.
  const width = behind.length + (behind.at(-1)?.includes(".") ? 1 : 0);
  const zeros = tail === undefined ? 0 : 8 - groups.length - width;
  const all = [...groups, ...Array.from({ length: Math.max(0, zeros) }, () => "0"), ...behind];
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}
