import { describe, expect, it } from "vitest";
import { isAllowedAddress, networkSet } from "./addresses.ts";

const nowhere = networkSet([]);

/** First and last address of each range, and their neighbours where those are public. */
const forbidden = [
  ["0.0.0.0", "0.255.255.255"],
  ["10.0.0.0", "10.255.255.255"],
  ["100.64.0.0", "100.127.255.255", "100.100.100.200"],
  ["127.0.0.0", "127.0.0.1", "127.255.255.255"],
  ["168.63.129.16"],
  ["169.254.0.0", "169.254.169.254", "169.254.255.255"],
  ["172.16.0.0", "172.31.255.255"],
  ["192.0.0.0", "192.0.0.192", "192.0.0.255"],
  ["192.0.2.0", "192.0.2.255"],
  ["192.31.196.1", "192.52.193.1", "192.175.48.1"],
  ["192.88.99.0", "192.88.99.255"],
  ["192.168.0.0", "192.168.255.255"],
  ["198.18.0.0", "198.19.255.255"],
  ["198.51.100.0", "203.0.113.255"],
  ["224.0.0.1", "239.255.255.255", "240.0.0.0", "255.255.255.255"],
  ["::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:7f00:1"],
  ["64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "5f00::1"],
  ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:20::1", "2001:1ff:ffff::1"],
  ["2001:db8::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["2002:7f00:1::", "2002:ffff::1", "2620:4f:8000::1", "3ffe::1", "3fff::1", "3fff:fff:ffff::1"],
  // ISATAP, whatever its IPv4 address is, and however it is written.
  ["2606:4700::5efe:10.0.0.1", "2606:4700:1:2:0:5efe:808:808", "2a00:1450:4001:1:200:5efe:7f00:1"],
  ["4000::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "1fff:ffff::1"],
].flat();

const allowed = [
  ["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"],
  ["126.255.255.255", "128.0.0.0", "168.63.129.15", "169.253.255.255", "169.255.0.0"],
  ["172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.167.255.255"],
  ["192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0"],
  ["223.255.255.255", "2000::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1111"],
  ["2606:4700:1:2:100:5efe:808:808", "2606:4700:0:5efe::1", "2606:4700:1:2:3:4:5:5efe"],
  ["2a00:1450:4001::1", "3ffd::1", "3fff:1000::1"],
].flat();

describe("the addresses that webhooks may go to", () => {
  it.each(forbidden)("are without %s", (address) => {
    expect(isAllowedAddress(address, nowhere)).toBe(false);
  });

  it.each(allowed)("have %s", (address) => {
    expect(isAllowedAddress(address, nowhere)).toBe(true);
  });

  it.each(["", "localhost", "fe80::1%eth0", "2606:4700::1111%1", "1.2.3", "01.2.3.4", "1.1.1.1 "])(
    "are without what is no plain literal: %j",
    (text) => {
      expect(isAllowedAddress(text, networkSet(["0.0.0.0/0", "::/0"]))).toBe(false);
    },
  );

  it("have those that the operator lets through, and no more", () => {
    const networks = networkSet(["10.1.0.0/16", "fd00::/8", "192.168.7.7"]);
    const may = (address: string) => isAllowedAddress(address, networks);
    expect(["10.1.0.1", "10.1.255.255", "fd12::1", "192.168.7.7", "8.8.8.8"].every(may)).toBe(true);
    expect(["10.0.255.255", "10.2.0.0", "fc12::1", "192.168.7.8", "::1"].some(may)).toBe(false);
  });

  it("have metadata services only where their very address is let through", () => {
    const within: Readonly<Record<string, string>> = {
      "100.100.100.200": "100.64.0.0/10",
      "168.63.129.16": "168.63.0.0/16",
      "169.254.0.23": "0.0.0.0/0",
      "169.254.42.42": "169.254.0.0/16",
      "169.254.169.254": "169.254.169.254/31",
      "169.254.170.2": "169.254.0.0/16",
      "192.0.0.192": "192.0.0.0/24",
      "64:ff9b::a9fe:a9fe": "64:ff9b::/96",
      "64:ff9b::100.100.100.200": "64:ff9b::/96",
      "fd00:42::42": "::/0",
      "fd00:c1::a9fe:a9fe": "fc00::/7",
      "fd00:ec2::23": "fd00::/8",
      "fd00:ec2::254": "fd00::/8",
      "fd20:ce::254": "fd20::/16",
      "fe80::a9fe:a9fe": "fe80::/10",
    };
    for (const [address, network] of Object.entries(within)) {
      expect(networkSet([network]).contains(address), address).toBe(true);
      expect(isAllowedAddress(address, networkSet([network])), address).toBe(false);
      expect(isAllowedAddress(address, networkSet([network, address])), address).toBe(true);
    }
    expect(isAllowedAddress("::ffff:169.254.169.254", networkSet(["0.0.0.0/0", "::/0"]))).toBe(false);
    expect(isAllowedAddress("fd00:ec2::254", networkSet(["fd00:ec2::254/128"]))).toBe(true);
    expect(isAllowedAddress("64:ff9b::8.8.8.8", networkSet(["64:ff9b::/96"]))).toBe(true);
    expect(isAllowedAddress("169.254.1.1", networkSet(["169.254.0.0/16"]))).toBe(true);
  });

  it("judge a mapped address by its IPv4 address where a network lets that through", () => {
    const networks = networkSet(["127.0.0.0/8"]);
    expect(isAllowedAddress("::ffff:127.0.0.1", networks)).toBe(true);
    expect(isAllowedAddress("::ffff:128.0.0.1", networks)).toBe(false);
  });
});

describe("networks", () => {
  it.each(["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "10/8", "::/129", "a/8"])(
    "are refused where they don't parse: %j",
    (cidr) => {
      expect(() => networkSet([cidr])).toThrow(
        expect.objectContaining({
          code: "config.invalid",
          message: expect.stringContaining(`"${cidr}"`),
        }),
      );
    },
  );

  it("may be everything", () => {
    const all = networkSet(["0.0.0.0/0", "::/0"]);
    expect(all.contains("127.0.0.1") && all.contains("::1")).toBe(true);
  });
});
