/** Code for the receiver, in his language and for what this subscription sends. */
import { useState } from "react";
import { Format, type Subscription } from "../../../../gen/passbus/v1/subscription_pb.js";
import { CodeBlock } from "../../parts/exchange.tsx";
import { SelectField } from "../../parts/field.tsx";
import { Section } from "../../parts/page.tsx";
import { LANGUAGES, type Language, type Scheme, snippet } from "./snippets.ts";

interface Named {
  readonly name: string;
  readonly scheme: Scheme;
}

const STANDARD: Named = { name: "webhook-signature (Standard Webhooks)", scheme: { kind: "standard" } };

/** The dialect's own first: that is what its receivers have code for. */
function schemesOf(format: Format): readonly [Named, ...Named[]] {
  switch (format) {
    case Format.PASSKIT:
      return [{ name: "x-passkit-signature", scheme: { kind: "body", header: "x-passkit-signature" } }, STANDARD];
    case Format.PASSENTRY:
      return [{ name: "x-webhook-signature", scheme: { kind: "body", header: "x-webhook-signature" } }, STANDARD];
    case Format.ETHPASS:
      return [STANDARD, { name: "authorization", scheme: { kind: "authorization" } }];
    default:
      return [STANDARD];
  }
}

export function Verification({ subscription }: { readonly subscription: Subscription }) {
  const schemes = schemesOf(subscription.format);
  const [language, setLanguage] = useState<Language>("Node");
  const [at, setAt] = useState(0);
  const { scheme } = schemes[at] ?? schemes[0];
  const variable = scheme.kind === "authorization" ? "PASSBUS_AUTHORIZATION" : "PASSBUS_SECRET";
  return (
    <Section title="Verify its webhooks">
      <p>
        Code for your endpoint, with nothing to install. Put{" "}
        {scheme.kind === "authorization" ? "the header’s value" : "the signing secret, whsec_…,"} into the environment
        as <code>{variable}</code>, and refuse what it says false to.
      </p>
      <div className="filters">
        <SelectField
          label="Language"
          value={language}
          options={LANGUAGES.map((each) => [each, each] as const)}
          onChange={setLanguage}
        />
        {schemes.length > 1 ? (
          <SelectField
            label="By"
            value={at}
            options={schemes.map(({ name }, index) => [index, name] as const)}
            onChange={setAt}
          />
        ) : null}
      </div>
      <CodeBlock text={snippet(language, scheme)} what={`the code for ${language}`} />
    </Section>
  );
}
