/** What an administrator does with the dashboard, in Chromium. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DeliverySwitchScope, Role } from "../../gen/passbus/v1/access_service_pb.js";
import { browser, Stage, type Visit } from "../support/browser.ts";
import { httpServer, type TestServer } from "../support/receiver.ts";

const LIMIT_MS = 120_000;

describe.skipIf(!browser.present)(browser.title("the access pages of the dashboard"), () => {
  let stage: Stage;
  /** A customer's page, which shows passbus in a frame and hands it a token. */
  let customers: TestServer;
  let customersPage = "";
  beforeAll(async () => {
    customers = await httpServer((_request, response) => {
      response.writeHead(200, { "content-type": "text/html" }).end(customersPage);
    });
    stage = await Stage.open({ PASSBUS_FRAME_ANCESTORS: `http://127.0.0.1:${customers.port}` });
  }, LIMIT_MS);
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]();
    await customers?.[Symbol.asyncDispose]();
  });

  /** The text that the dialog shows once; closes it. */
  async function shownOnce({ page }: Visit, title: string): Promise<string> {
    const dialog = page.getByRole("dialog", { name: title });
    const text = (await dialog.locator(".secret").textContent())?.trim() ?? "";
    await dialog.getByRole("button", { name: "I have kept it" }).click();
    return text;
  }

  it(
    "makes a key that signs in, tells its owner what it may not, and ends him when it is revoked",
    async () => {
      await using admin = await stage.signedIn("/access/keys");
      await admin.page.getByLabel("Role").selectOption({ label: "viewer" });
      await admin.page.getByLabel("For", { exact: true }).fill("the screen in the hall");
      await admin.page.getByRole("button", { name: "Make the key" }).click();
      const key = await shownOnce(admin, "The key is made");
      const id = /^pb_production_([^_]+(?:_[^_]+)?)_/.exec(key)?.[1] ?? "";
      expect(key).toMatch(/^pb_production_/);
      await using viewer = await stage.signedIn("/access/keys", { key });
      await viewer.page.locator(".environment").filter({ hasText: "viewer in production" }).waitFor();
      await viewer.page.getByRole("heading", { level: 1, name: "Not for this key" }).waitFor();
      // From here on the key is revoked.
      viewer.expectFailedCalls();
      const row = admin.page.getByRole("row").filter({ hasText: "the screen in the hall" });
      await row.getByRole("button", { name: /^Revoke key_/ }).click();
      const confirm = admin.page.getByRole("button", { name: "Revoke it" });
      expect(await confirm.isDisabled()).toBe(true);
      const name = (await row.locator("th code").textContent()) ?? "";
      expect(name).toContain(id.split("_").at(-1) ?? "?");
      await admin.page.getByLabel(/^Type/).fill(name);
      await confirm.click();
      await row.getByText("revoked").waitFor();
      await viewer.page.getByText("This key does not count any longer").waitFor();
      await viewer.page.getByRole("button", { name: "Sign in" }).waitFor();
      expect(await admin.offencesInAllLooks()).toEqual({});
    },
    LIMIT_MS,
  );

  it(
    "makes a portal session that sees its entity's pages alone, and revokes it",
    async () => {
      await using admin = await stage.signedIn("/access/sessions");
      await admin.page.getByLabel("Entity").fill("shop-7");
      await admin.page.getByRole("button", { name: "Make the session" }).click();
      const token = await shownOnce(admin, "The session is made");
      await using customer = await stage.signedIn("/subscriptions", { key: token });
      await customer.page.getByText("No subscriptions yet").waitFor();
      expect(await customer.page.getByText(/inspector/i).count()).toBe(0);
      await customer.open("/access/keys");
      await customer.page.getByRole("heading", { name: "No such page" }).waitFor();
      const names = await customer.page.getByRole("navigation", { name: "Pages" }).getByRole("link").allTextContents();
      expect(names).toEqual(["Deliveries", "Subscriptions", "Events"]);
      const row = admin.page.getByRole("row").filter({ hasText: "shop-7" });
      await row.getByRole("button", { name: /^Revoke ses_/ }).click();
      const revoke = admin.page.getByRole("button", { name: "Revoke it" });
      expect(await revoke.isDisabled()).toBe(true);
      await admin.page.getByLabel(/^Type/).fill((await row.locator("th code").textContent()) ?? "");
      await revoke.click();
      await row.getByText("revoked").waitFor();
      expect(await admin.offencesInAllLooks()).toEqual({});
    },
    LIMIT_MS,
  );

  it(
    "shows a portal in a customer's page, with a token that is in no address",
    async () => {
      const { token = "" } = await stage.passbus.api.access.createPortalSession({ entityId: "shop-8" });
      customersPage = `<!doctype html><iframe title="Webhooks" src="${stage.passbus.url}/subscriptions"></iframe><script>
        onmessage = ({ data, source, origin }) => {
          if (data.type === "passbus.ready") source.postMessage({ type: "passbus.token", token: "${token}" }, origin);
        };
      </script>`;
      await using visit = await stage.visit("/");
      await visit.page.goto(`http://127.0.0.1:${customers.port}/`);
      const frame = visit.page.frameLocator("iframe");
      await frame.getByText("No subscriptions yet").waitFor();
      expect(
        visit.page
          .frames()
          .map((each) => each.url())
          .join(),
      ).not.toContain("pbs_");
    },
    LIMIT_MS,
  );

  it(
    "sets one limit and leaves the others, and stops all deliveries where everyone sees it",
    async () => {
      await using admin = await stage.signedIn("/access/limits");
      const { page } = admin;
      const save = page.getByRole("button", { name: "Set the limits" });
      const payloads = page.getByLabel("Payloads are kept, days");
      await payloads.waitFor();
      expect(await save.isDisabled()).toBe(true);
      const events = await page.getByLabel("Events are kept, days").inputValue();
      await payloads.fill("7");
      await save.click();
      await page.getByText("The limits are set.").waitFor();
      expect(await payloads.inputValue()).toBe("7");
      expect(await page.getByLabel("Events are kept, days").inputValue()).toBe(events);
      await page.getByRole("button", { name: "Stop deliveries of this organisation" }).click();
      await page.getByLabel("Why").fill("a receiver is on fire");
      await page.getByLabel(/^Type/).fill("stop");
      await page.getByRole("button", { name: "Stop them" }).click();
      await page.getByText("stopped", { exact: true }).waitFor();
      await admin.open("/");
      await page.getByText(/All deliveries are stopped/).waitFor();
      await page.getByText(/a receiver is on fire/).waitFor();
      await admin.open("/access/limits");
      await page.getByRole("button", { name: "Start deliveries of this organisation" }).click();
      await page.getByRole("button", { name: "Start them" }).click();
      await page.getByText("Deliveries run.").waitFor();
    },
    LIMIT_MS,
  );

  it(
    "sets no limit by a text that can't be read, and says which it is",
    async () => {
      await using admin = await stage.signedIn("/access/limits");
      const { page } = admin;
      const before = await stage.passbus.api.access.getLimits({});
      const entity = page.getByLabel("Subscriptions of each entity");
      await entity.fill("1e");
      expect(await entity.inputValue()).toBe("1e");
      await page.getByLabel("Payloads are kept, days").fill("9");
      await page.getByRole("button", { name: "Set the limits" }).click();
      await page.getByText("must be a whole number above 0, or empty for the default").waitFor();
      expect(await entity.getAttribute("aria-invalid")).toBe("true");
      expect(await stage.passbus.api.access.getLimits({})).toEqual(before);
    },
    LIMIT_MS,
  );

  it(
    "stops deliveries that somebody else has stopped meanwhile: no dialog turns into its opposite",
    async () => {
      const { access } = stage.passbus.api;
      const scope = DeliverySwitchScope.ORGANISATION;
      await using admin = await stage.signedIn("/access/limits");
      const { page } = admin;
      await page.getByRole("button", { name: "Stop deliveries of this organisation" }).click();
      const dialog = page.getByRole("dialog", { name: "Stop deliveries of this organisation?" });
      await dialog.getByLabel("Why").fill("what A wrote");
      await dialog.getByLabel(/^Type/).fill("stop");
      await access.setDeliverySwitch({ scope, stopped: true, reason: "what B wrote" });
      await dialog.getByText(/^They are stopped already, by .*: what B wrote\.$/).waitFor();
      await dialog.getByRole("button", { name: "Stop them" }).click();
      await page.getByText("Deliveries are stopped.").waitFor();
      expect((await access.getDeliverySwitch({})).switches[0]).toMatchObject({ stopped: true, reason: "what A wrote" });
      // The other way round.
      await page.getByRole("button", { name: "Start deliveries of this organisation" }).click();
      await access.setDeliverySwitch({ scope, stopped: false });
      await page.getByRole("dialog").getByText("They run already.").waitFor();
      await page.getByRole("button", { name: "Start them" }).click();
      await page.getByText("Deliveries run.").waitFor();
      expect((await access.getDeliverySwitch({})).switches[0]?.stopped).toBe(false);
    },
    LIMIT_MS,
  );

  it(
    "shows in the audit log who did what, filtered by the address",
    async () => {
      await using admin = await stage.signedIn("/access/keys");
      const { page } = admin;
      await page.getByLabel("For", { exact: true }).fill("for the audit log");
      await page.getByRole("button", { name: "Make the key" }).click();
      await shownOnce(admin, "The key is made");
      const row = page.getByRole("row").filter({ hasText: "for the audit log" });
      const id = (await row.locator("th code").textContent()) ?? "";
      await admin.open(`/access/audit?target=${id}`);
      const record = page.getByRole("row").filter({ hasText: id });
      await record.getByText("AccessService/CreateKey").waitFor();
      await record.getByText("bootstrap").waitFor();
      await record.getByText("done").waitFor();
      await page.getByLabel("Outcome").selectOption({ label: "Refusals" });
      await page.getByText("No records").waitFor();
      expect(admin.path).toBe(`/access/audit?target=${id}&outcome=refused`);
      await admin.open("/access/audit?action=AccessService%2FCreateKey");
      await record.getByText("done").waitFor();
      expect(await page.getByRole("row").filter({ hasText: "CreatePortalSession" }).count()).toBe(0);
      // One that is made while somebody looks on.
      const { key } = await stage.passbus.api.access.createKey({
        key: { role: Role.VIEWER, description: "seen later" },
      });
      await page
        .getByRole("row")
        .filter({ hasText: key?.id ?? "?" })
        .waitFor();
    },
    LIMIT_MS,
  );
});
