/** The keys of a thread, read from their texts once. */
import { type Ed25519Keys, ed25519KeysFrom } from "../signing/ed25519.ts";
import { type Keyring, keyringFrom } from "../signing/keyring.ts";
import { type Signer, type SignerOptions, signer } from "../signing/signer.ts";
import { type KeyTexts, random } from "./parts.ts";

export interface SigningKeys {
  readonly keyring: Keyring;
  readonly signsEd25519: boolean;
  /** The ed25519 key pairs of a tenant; none where there are no seeds. */
  readonly ed25519Keys: Ed25519Keys;
  /** One more signer, with a cache of its own. */
  signer(options?: Pick<SignerOptions, "cacheSize">): Signer;
}

export function signingKeys({ encryptionKeys, signingSeeds }: KeyTexts): SigningKeys {
  const keyring = keyringFrom(encryptionKeys, random);
  const ed25519Keys: Ed25519Keys = signingSeeds === undefined ? () => [] : ed25519KeysFrom(signingSeeds);
  return {
    keyring,
    signsEd25519: signingSeeds !== undefined,
    ed25519Keys,
    signer: (options = {}) =>
      signer(keyring, {
        ...options,
        ed25519Keys: ({ tenant, ed25519Signature }) => (ed25519Signature === true ? ed25519Keys(tenant) : []),
      }),
  };
}
