import { createServer } from "node:net";
import { MongoServerError } from "mongodb";
import { describe, expect, test } from "vitest";
import { mongodb, mongodbUri } from "../../../test/support/services/services.ts";
import { CodedError } from "../../kernel/errors.ts";
import { databaseIn, judgeTopology } from "./connection.ts";
import { connectError, hostsOf, withoutPassword } from "./errors.ts";
import { connectMongo } from "./mongodb.ts";

const refusal = (hello: Record<string, unknown>): CodedError | undefined => {
  try {
    judgeTopology(hello, "db:27017");
    return undefined;
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
};

async function failureOf(uri: string): Promise<CodedError> {
  try {
    await connectMongo({ uri });
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error("it connected");
}

/** A port that nobody listens at: it was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

describe("what kind of MongoDB it is", () => {
  test("the primary of a replica set and a router of a sharded cluster will do", () => {
    expect(refusal({ setName: "rs0", isWritablePrimary: true })).toBeUndefined();
    expect(refusal({ msg: "isdbgrid", isWritablePrimary: true })).toBeUndefined();
  });

  test("a standalone server is refused, with what to do", () => {
    const error = refusal({ isWritablePrimary: true });
    expect(error?.code).toBe("config.invalid");
    for (const hint of ["db:27017", "--replSet", "rs.initiate()", "directConnection"]) {
      expect(error?.message).toContain(hint);
    }
  });

  test("a member that is not the primary is refused, with the set's name", () => {
    const error = refusal({ setName: "rs7", isWritablePrimary: false, secondary: true });
    expect(error?.code).toBe("config.invalid");
    expect(error?.message).toContain("replicaSet=rs7");
  });
});

describe("the URI", () => {
  test.each([
    ["mongodb://a:1,b:2/bus?replicaSet=rs0", "bus"],
    ["mongodb://u:p%40ss@a/b%20us", "b us"],
    ["mongodb+srv://cluster.example/", "passbus"],
    ["mongodb://a", "passbus"],
    ["mongodb://a/?tls=true&tlsCAFile=/etc/ca.pem", "passbus"],
    ["mongodb://a?tlsCAFile=/etc/ca.pem", "passbus"],
  ])("%s names the database %s", (uri, name) => {
    expect(databaseIn(uri)).toBe(name);
  });

  test.each([
    ["mongodb://u:p%40ss@a:1,b:2/bus", "a:1,b:2"],
    ["mongodb://u:p@s/s@a:1/bus", "a:1"],
    ["mongodb+srv://cluster.example?x=1", "cluster.example"],
  ])("the hosts of %s are %s", (uri, hosts) => {
    expect(hostsOf(uri)).toBe(hosts);
  });

  test("no text keeps its user name and password, escaped or not", () => {
    const uri = "mongodb://anna:s%40cret@a/";
    expect(withoutPassword("s@cret s%40cret anna:s%40cret", uri)).toBe("*** *** ***");
    expect(withoutPassword("nothing to hide", "mongodb://a/")).toBe("nothing to hide");
  });
});

describe("connecting", () => {
  test("an unreachable server is told in time, with its host and without the password", {
    timeout: 10_000,
  }, async () => {
    const port = await freePort();
    const beganMs = performance.now();
    const error = await failureOf(`mongodb://anna:hidden@127.0.0.1:${port}/bus`);
    expect(performance.now() - beganMs).toBeLessThan(6_000);
    expect(error.code).toBe("store.unavailable");
    expect(error.message).toContain(`127.0.0.1:${port}`);
    expect(`${error.message} ${error.stack} ${JSON.stringify(error)}`).not.toContain("hidden");
    expect(error.cause).toBeUndefined();
  });

  test.each(["mongodb://anna:hid:den@a/", "mongodb://anna:hidden@a:port/", "mongodb://anna:hidden@a/?nonsense=1"])(
    "%s is refused as a setting",
    async (uri) => {
      const error = await failureOf(uri);
      expect(error.code).toBe("config.invalid");
      expect(error.message).not.toMatch(/hid:?den/);
    },
  );

  test("refused credentials are a setting's fault", () => {
    const driver = new MongoServerError({ message: "Authentication failed for s@cret", code: 18 });
    const error = connectError(driver, "mongodb://anna:s%40cret@a/", 5_000);
    expect(error).toMatchObject({ code: "config.invalid" });
    expect(String(error)).not.toContain("s@cret");
  });
});

describe.skipIf(!mongodb.present)(mongodb.title("a real server's answers"), () => {
  test("an unknown user is refused as a setting, without the password", async () => {
    const uri = new URL(mongodbUri());
    uri.username = "nobody";
    uri.password = "hidden";
    const error = await failureOf(uri.href);
    expect(error.code).toBe("config.invalid");
    expect(error.message).not.toContain("hidden");
  });
});
