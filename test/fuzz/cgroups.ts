import assert from "node:assert/strict";
import fc from "fast-check";
import { parseCgroup2Mount } from "../../src/kernel/cgroup2.ts";
import { parseProcCgroup } from "../../src/names/cgroups.ts";
import { workloadOf } from "../../src/names/workload.ts";
import { type FuzzTarget, textOf } from "./target.ts";

const ID = "0123456789abcdef".repeat(4);
const PIECES = [
  ...["/", ":", "-", "_", ".", "..", "\n", " ", "0::/", "1:name=systemd:/", "12:cpu,memory:/"],
  ...["system.slice", "kubepods", "kubepods-burstable-pod", "pod", ".slice", ".scope", ".service"],
  ...[ID, ID.slice(1), "docker-", "cri-containerd-", "crio-", "libpod-", "machine-libpod_pod_"],
  ...["1b2c3d4e-0011-2233-4455-66778899aabb", "1b2c3d4e_0011_2233_4455_66778899aabb"],
  ...["29 22 0:26 / ", "/sys/fs/cgroup", " rw,nosuid shared:9 - cgroup2 ", "\\040", "\\999"],
];

export const cgroups: FuzzTarget = {
  name: "cgroups",
  weight: 10,
  create: () =>
    fc.property(textOf(PIECES, 40), (text) => {
      const { unit, container, pod } = workloadOf(text);
      assert.ok(unit === undefined || (unit.includes(".") && !unit.includes("/")));
      assert.ok(container === undefined || /^[0-9a-f]{64}$/.test(container));
      assert.ok(pod === undefined || /^[0-9a-f-]{32,64}$/.test(pod));
      const path = parseProcCgroup(text);
      assert.ok(path === undefined || path.startsWith("/"));
      parseCgroup2Mount(text);
    }),
};
