import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer, type Server } from "node:tls";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../kernel/clock.ts";
import { silentLog } from "../../kernel/log.ts";
import { hostOf, type KafkaTls, kafkaConnection, seedAddress } from "./kafka.ts";

const pem = (name: string) => readFileSync(new URL(`../../../test/support/tls/${name}`, import.meta.url), "utf8");

test.each([
  ["[::1]:9093", "::1", "9093"],
  ["[2001:db8::7]:19092", "2001:db8::7", "19092"],
  ["kafka-1.example:9092", "kafka-1.example", "9092"],
])("the address of %s outlives kafkajs, which cuts it at its first colon", (broker, host, port) => {
  const [cutHost = "", cutPort] = seedAddress(broker).split(":");
  expect([hostOf(cutHost), cutPort]).toEqual([host, port]);
});

/** No broker: it hangs up on who has got through the handshake. */
let server: Server;
let through: { readonly hasCertificate: boolean }[];
beforeEach(async () => {
  through = [];
  server = createServer({ cert: pem("cert.pem"), key: pem("key.pem"), requestCert: true, rejectUnauthorized: false });
  server.on("secureConnection", (socket) => {
    through.push({ hasCertificate: Object.keys(socket.getPeerCertificate()).length > 0 });
    socket.destroy();
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(() => {
  server.close();
});

async function connect(tls: KafkaTls): Promise<void> {
  const brokers = [`127.0.0.1:${(server.address() as AddressInfo).port}`];
  const admin = kafkaConnection({ brokers, clientId: "c", tls, log: silentLog, clock: systemClock }).client(0).admin();
  await expect(admin.connect()).rejects.toThrow();
  await admin.disconnect();
}

test("TLS trusts the authority that is given", async () => {
  await connect({ caText: pem("cert.pem") });
  expect(through.length).toBeGreaterThan(0);
  expect(through[0]?.hasCertificate).toBe(false);
});

test("without one it trusts the system's, and no broker of another's", async () => {
  await connect({});
  expect(through).toEqual([]);
});

test("a certificate of one's own is shown", async () => {
  await connect({ caText: pem("cert.pem"), certText: pem("cert.pem"), keyText: pem("key.pem") });
  expect(through[0]?.hasCertificate).toBe(true);
});
