import { describe, expect, test } from "vitest";
import { ActionMethod, DataType } from "../../gen/io/integrations_pb.js";
import { sampleSubscription } from "../../test/support/samples.ts";
import type { FieldViolation } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { configurationOf, readConfiguration } from "./passkit-config.ts";

function read(text: string) {
  const wrong: FieldViolation[] = [];
  return { config: readConfiguration(text, wrong), wrong };
}

const URL = "https://a.example/hook";

describe("a configuration that is read", () => {
  test.each([
    ["the URL alone", `{"targetUrl":"${URL}"}`],
    ["blanks before it", `  \r\n\t {"targetUrl":"${URL}"}\n`],
    ["the other fields unset, as null", `{"targetUrl":"${URL}","actionMethod":null,"fieldMapping":null}`],
    ["the other fields unset, as zero values", `{"targetUrl":"${URL}","actionMethod":0,"fieldMapping":{}}`],
  ])("%s", (_, text) => {
    const { config, wrong } = read(text);
    expect(wrong).toEqual([]);
    expect(config).toMatchObject({ targetUrl: URL, actionMethod: 0, fieldMapping: undefined, signingSecret: "" });
  });

  test("enums as names or numbers", () => {
    const mapping = `"fieldMapping":{"destinationFieldKey":"mail","destinationFieldDataType":10,"sourceFieldUniqueName":"person.emailAddress","isRequired":true}`;
    for (const method of ["2", `"METHOD_PUT"`]) {
      const { config, wrong } = read(`{"targetUrl":"${URL}","actionMethod":${method},${mapping}}`);
      expect(wrong).toEqual([]);
      expect(config).toMatchObject({
        actionMethod: ActionMethod.METHOD_PUT,
        fieldMapping: { destinationFieldKey: "mail", destinationFieldDataType: DataType.EMAIL, isRequired: true },
      });
    }
  });

  test.each([
    ["nothing", "", "configuration", "is required"],
    ["blanks", " \n", "configuration", "is required"],
    ["no JSON", "https://a.example/hook", "configuration", "must be JSON"],
    ["JSON that is no object", `"${URL}"`, "configuration", "io.WebhookConfig"],
    ["no URL", "{}", "configuration.targetUrl", "is required"],
    ["a field that is none", `{"targetUrl":"${URL}","url":"x"}`, "configuration", "url"],
    ["a URL that is no text", `{"targetUrl":7}`, "configuration", "targetUrl"],
    [
      "a method's number without a name",
      `{"targetUrl":"${URL}","actionMethod":4}`,
      "configuration.actionMethod",
      "4 is",
    ],
    ["a method's name that is none", `{"targetUrl":"${URL}","actionMethod":"PATCH"}`, "configuration", "PATCH"],
    [
      "a data type without a name",
      `{"targetUrl":"${URL}","fieldMapping":{"destinationFieldDataType":14}}`,
      "configuration.fieldMapping.destinationFieldDataType",
      "14 is not a value",
    ],
    ["too much", `{"targetUrl":"${"a".repeat(LIMITS.passkitConfigurationCharacters)}"}`, "configuration", "at most"],
    ["too deep", `{"targetUrl":${"[".repeat(4_000)}${"]".repeat(4_000)}}`, "configuration", "targetUrl"],
  ])("%s is refused", (_, text, field, words) => {
    const { wrong } = read(text);
    expect(wrong).toEqual([{ field, description: expect.stringContaining(words) }]);
  });
});

describe("a configuration that is written", () => {
  test("has integers for enums and leaves zero values out, as Go does", () => {
    const plain = sampleSubscription({ url: URL });
    expect(configurationOf(plain, "")).toBe(`{"targetUrl":"${URL}"}`);
    const formatOptions = {
      passkitUninstalledName: "documented",
      passkitMethod: ActionMethod.METHOD_POST,
      passkitFieldMapping: {
        destinationFieldKey: "mail",
        destinationFieldDataType: DataType.EMAIL,
        isRequired: true,
        sourceFieldUniqueName: "person.emailAddress",
      },
    } as const;
    expect(configurationOf({ ...plain, formatOptions }, "whsec_x")).toBe(
      `{"targetUrl":"${URL}","actionMethod":1,"fieldMapping":{"destinationFieldKey":"mail",` +
        `"destinationFieldDataType":10,"isRequired":true,"sourceFieldUniqueName":"person.emailAddress"},` +
        `"signingSecret":"whsec_x"}`,
    );
  });
});
