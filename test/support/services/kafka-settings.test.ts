import { describe, expect, it } from "vitest";
import { type BrokerNode, brokerSettings, toEnvironment, toProperties } from "./kafka-settings.ts";

function node(id: number): BrokerNode {
  return {
    id,
    bindHost: "0.0.0.0",
    clientHost: "docker.example",
    clientPort: 20_000 + id,
    innerHost: `kafka-${id}`,
    innerPort: 9092,
    controllerPort: 9093,
    dataFolder: "/data",
  };
}

describe("a broker's settings", () => {
  it("send clients to the address that they can reach, and brokers to the one among themselves", () => {
    const settings = brokerSettings(node(2), [node(1), node(2), node(3)]);
    expect(settings).toMatchObject({
      "node.id": "2",
      "controller.quorum.voters": "1@kafka-1:9093,2@kafka-2:9093,3@kafka-3:9093",
      listeners: "PLAINTEXT://0.0.0.0:20002,INNER://0.0.0.0:9092,CONTROLLER://0.0.0.0:9093",
      "advertised.listeners": "PLAINTEXT://docker.example:20002,INNER://kafka-2:9092",
    });
  });

  it("keep three copies, of which two must be written, where there are three brokers", () => {
    const one = brokerSettings(node(1), [node(1)]);
    const three = brokerSettings(node(1), [node(1), node(2), node(3)]);
    expect([one["default.replication.factor"], one["min.insync.replicas"]]).toEqual(["1", "1"]);
    expect([three["default.replication.factor"], three["min.insync.replicas"]]).toEqual(["3", "2"]);
  });

  it("give way to overrides", () => {
    expect(brokerSettings(node(1), [node(1)], { "num.partitions": "7" })["num.partitions"]).toBe("7");
  });

  it("are written as a file for a process and as variables for the image", () => {
    const settings = { "log.dirs": "/data", listeners: "A://b:1,C://d:2" };
    expect(toProperties(settings)).toBe("log.dirs=/data\nlisteners=A://b:1,C://d:2\n");
    expect(toEnvironment(settings)).toEqual({ KAFKA_LOG_DIRS: "/data", KAFKA_LISTENERS: "A://b:1,C://d:2" });
  });
});
