/**
 * ethpass's webhooks (seed 001): `{"event":"pass:expire","result":{…}}`, where `result` is the token-gated pass in full,
 * as ethpass's GET /v0/passes/{passId} answers it. Keys stand in the sample's order; what nobody told is null.
 * docs/decisions/ethpass.md.
 */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type PassEvent, PassEventType, type TokenGate } from "../../gen/passbus/v1/pass_event_pb.js";
import { nameOf } from "./event-data.ts";
import type { Format } from "./format.ts";
import { deviceFamily, passFacts } from "./pass-facts.ts";
import { dateTime } from "./proto-json.ts";
import { jsonBody } from "./rendered.ts";

/** ethpass has no event for an update or a deletion. */
const EVENTS: ReadonlyMap<PassEventType, string> = new Map([
  [PassEventType.CREATED, "pass:create"],
  [PassEventType.INSTALLED, "pass:register"],
  [PassEventType.UNINSTALLED, "pass:unregister"],
  [PassEventType.INVALIDATED, "pass:expire"],
  [PassEventType.SCANNED, "pass:scan"],
]);

export const ethpass: Format = {
  name: "ETHPASS",
  types: [...EVENTS.keys()],
  // "A registered endpoint will receive all of the following events" (seed 001).
  alwaysAllTypes: true,
  sendsAuthorization: true,
  renderKey: () => "",
  render({ event }) {
    const name = nameOf(EVENTS, event.type, "ETHPASS");
    return jsonBody("POST", JSON.stringify({ event: name, result: result(event) }));
  },
};

/** Android's wallet is Google's, as far as ethpass makes passes. */
const PLATFORMS = { apple: "apple", android: "google" } as const;

function result(event: PassEvent): object {
  const { pass, tokenGate: gate } = event;
  const facts = passFacts(event);
  const family = deviceFamily(pass?.metadata);
  return {
    id: pass?.id ?? "",
    barcodeSignature: told(gate?.barcodeSignature),
    platform: told(gate?.platform) ?? (family === undefined ? null : PLATFORMS[family]),
    ownerAddress: told(gate?.ownerAddress),
    createdAt: time(gate?.createdAt ?? facts.createdAt),
    expiredAt: time(gate?.expiredAt ?? facts.endedAt),
    expireAction: gate?.expireAction ?? null,
    lastScannedAt: time(gate?.lastScannedAt ?? facts.scannedAt),
    chain: chain(gate),
    registrations: (gate?.registrations ?? []).map(({ id, createdAt, deletedAt }) => ({
      id: told(id),
      createdAt: time(createdAt),
      deletedAt: time(deletedAt),
    })),
    nfts: (gate?.nfts ?? []).map(({ contractAddress, contractInterface, tokenId }) => ({
      contractAddress: told(contractAddress),
      contractInterface: told(contractInterface),
      tokenId: told(tokenId),
    })),
  };
}

function chain(gate: TokenGate | undefined): object | null {
  if (gate?.chain === undefined) return null;
  return { name: told(gate.chain.name), network: told(gate.chain.network) };
}

/** proto3 knows no difference between "not told" and "empty" of a plain string. */
function told(text: string | undefined): string | null {
  return text === undefined || text === "" ? null : text;
}

/** As in the sample: up to six digits of the second without zeros at the end, and the offset of UTC in digits. */
function time(at: Timestamp | undefined): string | null {
  if (at === undefined) return null;
  const micros = Math.floor(at.nanos / 1_000);
  const fraction = micros === 0 ? "" : `.${String(micros).padStart(6, "0").replace(/0+$/, "")}`;
  return `${dateTime(at)}${fraction}+00:00`;
}
