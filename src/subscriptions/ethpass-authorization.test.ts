/** "We recommend generating a project secret, and saving it as the Authorization Header" (seed 001). */
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { CloudEventsMode, Format, SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
import { refusal, subscriptionsRoom, tenant } from "../../test/support/subscriptions.ts";
import type { Subscription } from "../domain/subscription.ts";
import { openAuthorization } from "../signing/secrets.ts";
import { subscriptionMessage } from "./message.ts";

const PATH = "format_options.ethpass_authorization";

async function ethpassRoom() {
  const room = subscriptionsRoom();
  const formatOptions = { ethpassAuthorization: "Basic first" };
  const { subscription } = await room.add({ format: Format.ETHPASS, formatOptions });
  const opened = ({ formatOptions: options, ...owner }: Subscription) => {
    const sealed = options.sealedEthpassAuthorization;
    return sealed === undefined ? undefined : openAuthorization(room.keyring, owner, sealed);
  };
  return { ...room, subscription, opened, id: subscription.id };
}

describe("the authorization of an ethpass subscription", () => {
  test("is stored sealed for this subscription, and shown never", async () => {
    const { subscription, opened, clock, service, id } = await ethpassRoom();
    expect(opened(subscription)).toBe("Basic first");
    expect(() => opened({ ...subscription, id: "sub_other" })).toThrow(
      expect.objectContaining({ code: "keyring.damaged" }),
    );
    expect(JSON.stringify(subscription)).not.toContain("first");
    expect(await service.get(tenant, id)).toEqual(subscription);
    const { formatOptions } = subscriptionMessage(subscription, clock.now());
    expect(formatOptions).toMatchObject({ ethpassAuthorization: "" });
    expect(JSON.stringify(formatOptions)).not.toContain(subscription.formatOptions.sealedEthpassAuthorization);
  });

  test("stays where a change doesn't name it, also where all options are written back as they were read", async () => {
    const { change, opened, id, service, clock, store, subscription } = await ethpassRoom();
    expect(opened(await change({ id, description: "new" }))).toBe("Basic first");
    expect(opened(await change({ id, description: "newer" }, ["description"]))).toBe("Basic first");
    const read = subscriptionMessage(await service.get(tenant, id), clock.now());
    const { replacements } = store;
    const written = await service.update(tenant, read, ["format", "format_options"]);
    expect(store.replacements).toBe(replacements);
    expect(written.formatOptions).toEqual(subscription.formatOptions);
    expect(opened(await change({ id }, ["format_options"]))).toBe("Basic first");
  });

  test("is replaced by another text, with a mask and without", async () => {
    const { change, opened, id } = await ethpassRoom();
    const to = (text: string) => ({ id, formatOptions: { ethpassAuthorization: text } });
    expect(opened(await change(to("Basic second")))).toBe("Basic second");
    expect(opened(await change(to("Basic third"), [PATH]))).toBe("Basic third");
    expect(opened(await change(to("Basic fourth"), ["format_options"]))).toBe("Basic fourth");
  });

  test("goes where the mask names it and nothing stands there", async () => {
    const { change, id } = await ethpassRoom();
    expect((await change({ id }, [PATH])).formatOptions).not.toHaveProperty("sealedEthpassAuthorization");
  });

  test("goes with the format, and does not come back with it", async () => {
    const { change, id } = await ethpassRoom();
    const standard = await change({ id, format: Format.STANDARD });
    expect(standard.formatOptions).not.toHaveProperty("sealedEthpassAuthorization");
    const again = await change({ id, format: Format.ETHPASS });
    expect(again.formatOptions).not.toHaveProperty("sealedEthpassAuthorization");
  });

  test("is not taken along to another server: it must be given again, or taken away", async () => {
    const { change, opened, id, service } = await ethpassRoom();
    for (const moved of ["https://b.example/hook", "https://a.example:8443/hook"]) {
      for (const paths of [undefined, ["url"], ["url", "format_options"]]) {
        const error = await refusal(change({ id, url: moved }, paths));
        expect(error.message).toBe(
          `subscription.${PATH}: must be given again, or taken away by the mask: the URL moves to another server`,
        );
      }
    }
    const draft = create(SubscriptionSchema, { id, url: "https://b.example/hook" });
    expect((await refusal(service.draft(tenant, draft))).code).toBe("request.invalid");
    expect(opened(await change({ id, url: "https://a.example/another" }))).toBe("Basic first");
    const given = { id, url: "https://b.example/hook", formatOptions: { ethpassAuthorization: "Basic b" } };
    expect(opened(await change(given))).toBe("Basic b");
    const gone = await change({ id, url: "https://c.example/hook" }, ["url", PATH]);
    expect(gone.formatOptions).not.toHaveProperty("sealedEthpassAuthorization");
    expect((await change({ id, url: "https://d.example/hook" })).url).toBe("https://d.example/hook");
  });

  test("is refused for a format that doesn't send it", async () => {
    const { add } = subscriptionsRoom();
    const error = await refusal(add({ formatOptions: { ethpassAuthorization: "Basic hush" } }));
    expect(error.message).toBe(`subscription.${PATH}: FORMAT_STANDARD sends no authorization; leave it empty`);
  });
});

test("the mode of CloudEvents is shown as it is stored", async () => {
  const { add, change, clock } = subscriptionsRoom();
  const { id } = (await add({ format: Format.CLOUDEVENTS })).subscription;
  const shown = async (cloudeventsMode: CloudEventsMode) => {
    const changed = await change({ id, formatOptions: { cloudeventsMode } }, ["format_options.cloudevents_mode"]);
    return subscriptionMessage(changed, clock.now()).formatOptions?.cloudeventsMode;
  };
  expect(await shown(CloudEventsMode.UNSPECIFIED)).toBe(CloudEventsMode.STRUCTURED);
  expect(await shown(CloudEventsMode.BINARY)).toBe(CloudEventsMode.BINARY);
  expect(await shown(CloudEventsMode.STRUCTURED)).toBe(CloudEventsMode.STRUCTURED);
});
