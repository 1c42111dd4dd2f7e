/** The disk of an embedded passbus runs full under load: Publish refuses, what was accepted stays, and it goes on when there is space. */
import { describe, expect, test } from "vitest";
import { EmbeddedRun } from "../support/embedded-run.ts";
import { recordFault } from "../support/fault-table.ts";
import { mount, SmallDisk } from "../support/mounts.ts";
import { eventually } from "../support/within.ts";

const MIB = 1024 * 1024;
const KIB = 1024;
const HEALTHY = 3;
const RECOVERY_LIMIT_MS = 3_000;

describe.skipIf(!mount.present)(mount.title("a full disk"), { timeout: 60_000 }, () => {
  test("refuses with UNAVAILABLE, loses nothing, and goes on when there is space", async ({ task }) => {
    using disk = new SmallDisk(32 * MIB);
    await using run = await EmbeddedRun.start({ healthy: HEALTHY, dataDir: disk.path });
    await run.until(run.publish(40).whenAccepted(40));
    disk.fill(256 * KIB);
    const publisher = run.publish(400);
    publisher.expectRefusals();
    await eventually(20_000, "a refusal", () => (publisher.refused > 0 ? true : undefined));
    const accepted = run.accepted;
    // It says so itself, and stays up.
    await eventually(5_000, "503 of /readyz", async () =>
      (await fetch(`${run.passbus.url}/readyz`)).status === 503 ? true : undefined,
    );
    expect((await fetch(`${run.passbus.url}/healthz`)).status).toBe(200);
    disk.empty();
    const spaceAtMs = Date.now();
    const verdict = await run.settled();
    expect(verdict.violations).toEqual([]);
    expect(verdict.findings).toMatchObject({ accepted: 440, delivered: 440 * HEALTHY, repeats: [] });
    const row = verdict.row("disk full, then space again", spaceAtMs, accepted);
    expect(row.recoveredMs).toBeLessThan(RECOVERY_LIMIT_MS);
    recordFault(task, row);
  });

  test("kill -9 while it is full: with space, nothing is lost", async ({ task }) => {
    using disk = new SmallDisk(32 * MIB);
    await using run = await EmbeddedRun.start({ healthy: HEALTHY, dataDir: disk.path });
    await run.until(run.publish(40).whenAccepted(40));
    disk.fill(256 * KIB);
    const publisher = run.publish(400);
    publisher.expectRefusals();
    await eventually(20_000, "a refusal", () => (publisher.refused > 0 ? true : undefined));
    const { accepted } = await run.kill();
    disk.empty();
    const { readyAtMs } = await run.restart();
    const verdict = await run.settled();
    expect(verdict.violations).toEqual([]);
    expect(verdict.findings).toMatchObject({ accepted: 440, delivered: 440 * HEALTHY });
    const row = verdict.row("kill -9 while the disk is full", readyAtMs, accepted);
    expect(row.recoveredMs).toBeLessThan(RECOVERY_LIMIT_MS);
    recordFault(task, row);
  });
});
