/** What an endpoint's connections trust and show: judged when it is written, sealed, and the key shown never. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { refusal, subscriptionsRoom, tenant } from "../../test/support/subscriptions.ts";
import { connectionTls } from "../signing/connection-tls.ts";
import { subscriptionMessage } from "./message.ts";

const folder = join(import.meta.dirname, "../../test/support/tls");
const pem = (name: string) => readFileSync(join(folder, name), "utf8");
const AUTHORITY = pem("authority.pem");
const CERTIFICATE = pem("clients/good.pem");
const KEY = pem("clients/key.pem");
const TLS = { caCertificates: AUTHORITY, clientCertificate: CERTIFICATE, clientKey: KEY };

async function room() {
  const made = subscriptionsRoom();
  const { subscription } = await made.add({ tls: TLS });
  return { ...made, subscription, id: subscription.id, opened: connectionTls(made.keyring) };
}

describe("an endpoint's certificates", () => {
  test("are kept, the key under the keyring and bound to its subscription, and the key is shown never", async () => {
    const { subscription, opened, clock } = await room();
    expect(opened(subscription)).toMatchObject({ ca: AUTHORITY, client: { certificates: CERTIFICATE, key: KEY } });
    expect(JSON.stringify(subscription)).not.toContain("PRIVATE KEY");
    expect(subscriptionMessage(subscription, clock.now()).tls).toMatchObject({ ...TLS, clientKey: "" });
    const moved = { ...subscription, id: "sub_other", tls: structuredClone(subscription.tls ?? {}) };
    expect(() => opened(moved)).toThrow(expect.objectContaining({ code: "keyring.damaged" }));
  });

  test("stay where a change doesn't name them, also where they are written back as they were read", async () => {
    const { subscription, change, service, clock, store, id } = await room();
    expect((await change({ id, description: "new" })).tls).toEqual(subscription.tls);
    const read = subscriptionMessage(await service.get(tenant, id), clock.now());
    const { replacements } = store;
    expect((await service.update(tenant, read, ["tls"])).tls).toEqual(subscription.tls);
    expect(store.replacements).toBe(replacements);
  });

  test("go one by one, or all", async () => {
    const { change, id } = await room();
    expect((await change({ id }, ["tls.client_certificate"])).tls).toEqual({ caCertificates: AUTHORITY });
    expect(await change({ id }, ["tls"])).not.toHaveProperty("tls");
  });

  test.each([
    ["tls", "needs an https URL", { url: "http://hooks.example/1", tls: TLS }],
    ["tls.ca_certificates", "must be certificates in PEM", { tls: { caCertificates: "hello" } }],
    ["tls.ca_certificates", "must be certificates in PEM", { tls: { caCertificates: `${AUTHORITY}${KEY}` } }],
    ["tls.client_certificate", "is required beside", { tls: { clientKey: KEY } }],
    ["tls.client_key", "is required with a new", { tls: { clientCertificate: CERTIFICATE } }],
    ["tls.client_key", "must be a private key", { tls: { ...TLS, clientKey: "hello" } }],
    ["tls.client_key", "is not the private key of", { tls: { ...TLS, clientKey: pem("key.pem") } }],
  ])("%s %s", async (field, description, asked) => {
    const { add } = subscriptionsRoom();
    const error = await refusal(add(asked));
    expect(error).toMatchObject({ code: "request.invalid" });
    expect(error.message).toContain(`subscription.${field}: ${description}`);
    expect(error.message).not.toContain("BEGIN");
  });

  test("a new certificate needs its key, and the same one doesn't", async () => {
    const { change, id, subscription } = await room();
    const error = await refusal(change({ id, tls: { clientCertificate: pem("clients/second.pem") } }));
    expect(error.message).toContain("subscription.tls.client_key: is required with a new");
    const same = await change({ id, tls: { clientCertificate: CERTIFICATE } }, ["tls.client_certificate"]);
    expect(same.tls).toEqual(subscription.tls);
  });
});
