/** A private authority and a client certificate per subscription, against real TLS servers. */
import { readFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { httpsServer } from "../../../test/support/receiver.ts";
import type { OutboundRequest } from "../../delivery/sender.ts";
import type { ConnectionTls } from "../../domain/connection-tls.ts";
import { networkSet } from "../../kernel/addresses.ts";
import { systemClock } from "../../kernel/clock.ts";
import { directSender } from "./direct-sender.ts";
import { httpSender } from "./sender.ts";

const pem = (name: string) => readFileSync(join(import.meta.dirname, "../../../test/support/tls", name), "utf8");
const options = { clock: systemClock, allowHttp: false, allowedNetworks: networkSet(["127.0.0.0/8"]) };
const client = { certificates: pem("clients/good.pem"), key: pem("clients/key.pem") };
const trusting: ConnectionTls = { id: "trusting", ca: pem("authority.pem") };
const showing: ConnectionTls = { id: "showing", ca: pem("authority.pem"), client };

const senders = {
  engine: () => httpSender(options),
  direct: () => {
    const sender = directSender(options);
    return {
      send: async (request: OutboundRequest) => (await sender.send(request)).exchange,
      close: async () => sender.close(),
    };
  },
};

/** Answers with the name in the certificate that the client showed, or nothing. */
const naming: RequestListener = ({ socket }, response) => {
  const { subject } = (socket as TLSSocket).getPeerCertificate();
  response.end(subject?.CN?.toString() ?? "");
};

describe.each(Object.entries(senders))("the %s sender", (_name, make) => {
  const sender = make();
  afterEach(() => sender.close());

  it("trusts and shows what each request says, and lets none ride on another's connection", async () => {
    const tls = { key: pem("key.pem"), cert: pem("good.pem"), requestCert: true, ca: pem("clients/authority.pem") };
    await using server = await httpsServer({ ...tls, rejectUnauthorized: false }, naming);
    const url = `https://127.0.0.1:${server.port}/hook`;
    const send = async (given?: ConnectionTls) => {
      const request: OutboundRequest = {
        ...{ method: "POST", url, headers: {}, body: Buffer.from("{}"), timeoutMs: 5_000 },
        ...(given === undefined ? {} : { tls: given }),
      };
      const exchange = await sender.send(request);
      return exchange.kind === "response" ? Buffer.from(exchange.excerpt).toString() : exchange.reason;
    };
    expect(await send(showing)).toBe("pass shop");
    expect(await send(trusting)).toBe("");
    expect(await send()).toBe("tls.failed");
    expect(await send(showing)).toBe("pass shop");
  });
});
