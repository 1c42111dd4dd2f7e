/** What deletes for good: EventService.ErasePass and AccessService.DeleteOrganisation. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import type { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import type { Principal } from "../access/authenticate.ts";
import type { Erasures } from "../delivery/erasures.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { isTenantName } from "../kernel/tenant.ts";
import { principalOf } from "./gate.ts";

export interface ErasureCallsDeps {
  readonly erasures: Pick<Erasures, "erase">;
  /** The organisation of whoever runs passbus. */
  readonly operatedBy: string;
}

/** A call goes on erasing for so long; clients give up later. */
const PATIENCE_MS = 10_000;

export function erasePassCall({ erasures }: ErasureCallsDeps): Pick<ServiceImpl<typeof EventService>, "erasePass"> {
  return {
    async erasePass({ passId }, context) {
      const { tenant } = principalOf(context);
      if (passId === "") throw invalidField("pass_id", "is required");
      if (passId.length > LIMITS.idCharacters) {
        throw invalidField("pass_id", `must be at most ${LIMITS.idCharacters} characters`);
      }
      const { id, events, deliveries, deadLetters, isDone } = await erasures.erase(
        { kind: "pass", tenant, passId },
        PATIENCE_MS,
      );
      const counts = { events: BigInt(events), deliveries: BigInt(deliveries), deadLetters: BigInt(deadLetters) };
      return { id, ...counts, done: isDone };
    },
  };
}

export function deleteOrganisationCall({
  erasures,
  operatedBy,
}: ErasureCallsDeps): Pick<ServiceImpl<typeof AccessService>, "deleteOrganisation"> {
  return {
    async deleteOrganisation({ organisationId: organisation, confirmation }, context) {
      refuseUnlessTheirs(principalOf(context), organisation, operatedBy);
      if (!isTenantName(organisation)) throw invalidField("organisation_id", "must be an organisation's name");
      if (organisation === operatedBy) {
        throw invalidField("organisation_id", "is the organisation of whoever runs passbus, which can't be deleted");
      }
      if (confirmation !== organisation) throw invalidField("confirmation", "must be the organisation's name again");
      const { id, isDone, ...counts } = await erasures.erase({ kind: "organisation", organisation }, PATIENCE_MS);
      const deleted = Object.values(counts).reduce((sum, count) => sum + count, 0);
      return { id, deleted: BigInt(deleted), done: isDone };
    },
  };
}

/** @throws CodedError `role.insufficient`. */
function refuseUnlessTheirs({ tenant, role }: Principal, organisation: string, operatedBy: string): void {
  if (organisation === "") throw invalidField("organisation_id", "is required");
  if (role === "admin" && (tenant.organisation === organisation || tenant.organisation === operatedBy)) return;
  throw new CodedError(
    "role.insufficient",
    "organisation_id: an organisation is deleted by its own administrators, or by those of who runs passbus",
  );
}
