/** Where webhooks may go, and which way they leave: the same for whatever sends one or judges an endpoint. */
import type { OutboundProxy } from "../adapters/http/proxy.ts";
import type { HttpSenderOptions } from "../adapters/http/sender.ts";
import type { Config } from "../config/config.ts";
import { networkSet } from "../kernel/addresses.ts";
import { clock } from "./parts.ts";

type Outbound = Pick<
  HttpSenderOptions,
  "clock" | "allowHttp" | "allowedNetworks" | "allowedPorts" | "proxy" | "egressAddress"
>;

export function outbound(config: Config): Outbound {
  const { allowHttp, allowedPorts, egressAddress, outboundProxy } = config;
  return {
    clock,
    allowHttp,
    allowedNetworks: networkSet(config.allowedNetworks),
    allowedPorts,
    egressAddress,
    proxy: outboundProxy === undefined ? undefined : proxyOf(new URL(outboundProxy)),
  };
}

function proxyOf({ hostname, port, username, password }: URL): OutboundProxy {
  const proxy = { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) };
  if (username === "" && password === "") return proxy;
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { ...proxy, authorization: `Basic ${Buffer.from(credentials).toString("base64")}` };
}
