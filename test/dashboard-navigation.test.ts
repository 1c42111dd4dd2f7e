import { expect, it } from "vitest";
import { methodsFor, ROLES } from "../src/access/roles.ts";
import { mayOpen, navigationFor } from "../src/dashboard/navigation.ts";

const mayAs = (grant: Parameters<typeof methodsFor>[0]) => {
  const methods = new Set(methodsFor(grant, "production"));
  return (method: { readonly parent: { readonly typeName: string }; readonly name: string }) =>
    methods.has(`${method.parent.typeName}/${method.name}`);
};

it.each([
  ["/access", false],
  ["/access/keys", false],
  ["/inspector/bin_1", false],
  ["/replays", false],
  ["/dead-letters", false],
  ["/", false],
  ["/accessible", true],
  ["/subscriptions/new", true],
  ["/subscriptions/sub_1/edit", true],
  ["/passes/a%2Fb", true],
])("opens %s to a portal session: %s", (path, isOpen) => {
  expect(mayOpen(path, mayAs("portal"))).toBe(isOpen);
});

it.each([
  ["/subscriptions/sub_1", true],
  ["/subscriptions/sub_1/edit", false],
  ["/subscriptions/new", false],
  ["/dead-letters", false],
  ["/replays/rpl_1", true],
  ["/access", true],
  ["/access/limits", true],
  ["/access/keys", false],
])("opens %s to a viewer: %s", (path, isOpen) => {
  expect(mayOpen(path, mayAs("viewer"))).toBe(isOpen);
});

it("leads everybody where they may go, and a publisher nowhere", () => {
  const all = ["Overview", "Deliveries", "Subscriptions", "Events", "Inspector", "Access"];
  const labels = (grant: Parameters<typeof methodsFor>[0]) => navigationFor(mayAs(grant)).map(({ label }) => label);
  expect(Object.fromEntries([...ROLES, "portal" as const].map((grant) => [grant, labels(grant)]))).toEqual({
    admin: all,
    operator: all,
    subscriber: all,
    viewer: all,
    publisher: [],
    portal: ["Deliveries", "Subscriptions", "Events"],
  });
});
