/** The simulation's workers beat as those on MongoDB do. */
import { heartbeatContract } from "../contracts/heartbeat.contract.ts";
import { SimulatedHeartbeats } from "./heartbeats.ts";
import { emptyDatabase, simulatedStore } from "./store.ts";
import { World } from "./world.ts";

heartbeatContract("the simulation", async () => {
  const store = simulatedStore(emptyDatabase());
  const heartbeats = new SimulatedHeartbeats(new World(1), store);
  return {
    async connect() {
      const { beats, deliveries } = heartbeats.worker(() => {});
      return { ...store.ports, deliveries, heartbeats: beats };
    },
    async close() {
      store.database.close();
    },
  };
});
