import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { workloadOf } from "../../src/names/workload.ts";

const ID = "3f1c".repeat(16);
const INNER = "0a9b".repeat(16);
const UID = "1b2c3d4e-0011-2233-4455-66778899aabb";
const SLICE_UID = UID.replaceAll("-", "_");
const MANIFEST = "c0ffee00".repeat(4);

/** Paths as these programs make them, without the cgroup root of a version 1 controller. */
const PATHS: readonly [what: string, path: string, workload: object][] = [
  ["a system service", "/system.slice/nginx.service", { unit: "nginx.service" }],
  [
    "an instance of a template",
    "/system.slice/system-getty.slice/getty@tty1.service",
    { unit: "getty@tty1.service" },
  ],
  [
    "a service of a user's manager",
    "/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service",
    { unit: "user@1000.service" },
  ],
  ["a login session", "/user.slice/user-1000.slice/session-3.scope", { unit: "session-3.scope" }],
  ["an escaped unit name", "/system.slice/_cpu.service", { unit: "cpu.service" }],
  ["Docker with cgroupfs", `/docker/${ID}`, { container: ID }],
  [
    "Docker with systemd",
    `/system.slice/docker-${ID}.scope`,
    { unit: `docker-${ID}.scope`, container: ID },
  ],
  [
    "containerd below Kubernetes, cgroupfs",
    `/kubepods/burstable/pod${UID}/${ID}`,
    { container: ID, pod: UID },
  ],
  [
    "containerd below Kubernetes, systemd",
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${SLICE_UID}.slice/cri-containerd-${ID}.scope`,
    { unit: `cri-containerd-${ID}.scope`, container: ID, pod: UID },
  ],
  [
    "a guaranteed pod, which has no class in its name",
    `/kubepods.slice/kubepods-pod${SLICE_UID}.slice/cri-containerd-${ID}.scope`,
    { unit: `cri-containerd-${ID}.scope`, container: ID, pod: UID },
  ],
  [
    "containerd without the driver it was told to use",
    `/system.slice/containerd.service/kubepods-besteffort-pod${SLICE_UID}.slice:cri-containerd:${ID}`,
    { unit: "containerd.service", container: ID, pod: UID },
  ],
  ["a static pod", `/kubepods/besteffort/pod${MANIFEST}/${ID}`, { container: ID, pod: MANIFEST }],
  [
    "CRI-O with systemd",
    `/kubepods.slice/kubepods-pod${SLICE_UID}.slice/crio-${ID}.scope`,
    { unit: `crio-${ID}.scope`, container: ID, pod: UID },
  ],
  ["CRI-O with cgroupfs", `/kubepods/pod${UID}/crio-${ID}`, { container: ID, pod: UID }],
  [
    "CRI-O's monitor, which is not in the container",
    `/kubepods.slice/kubepods-pod${SLICE_UID}.slice/crio-conmon-${ID}.scope`,
    { unit: `crio-conmon-${ID}.scope`, pod: UID },
  ],
  [
    "Podman",
    `/machine.slice/libpod-${ID}.scope/container`,
    { unit: `libpod-${ID}.scope`, container: ID },
  ],
  [
    "Podman of a user",
    `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope`,
    { unit: "user@1000.service", container: ID },
  ],
  [
    "a pod of Podman",
    `/machine.slice/machine-libpod_pod_${INNER}.slice/libpod-${ID}.scope`,
    { unit: `libpod-${ID}.scope`, container: ID, pod: INNER },
  ],
  ["Podman with cgroupfs", `/libpod_parent/libpod-${ID}`, { container: ID }],
  [
    "a node that is itself a container",
    `/docker/${ID}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${SLICE_UID}.slice/cri-containerd-${INNER}.scope`,
    { container: ID },
  ],
  ["systemd inside of a container", `/docker/${ID}/system.slice/web.service`, { container: ID }],
  [
    "what a container made below itself, called like another one",
    `/system.slice/docker-${ID}.scope/kubepods.slice/kubepods-pod${SLICE_UID}.slice/cri-containerd-${INNER}.scope`,
    { unit: `docker-${ID}.scope`, container: ID },
  ],
  [
    "what a pod's container made below itself",
    `/kubepods/pod${UID}/${ID}/kubepods/pod${MANIFEST}/${INNER}`,
    { container: ID, pod: UID },
  ],
  [
    "what a user made, called like a service of the system",
    "/user.slice/user-1000.slice/user@1000.service/system.slice/nginx.service",
    { unit: "user@1000.service" },
  ],
  ["what is in a container of LXC", "/lxc.payload.box/system.slice/nginx.service", {}],
  ["a unit with a colon", "/system.slice/app-a:b.service", { unit: "app-a:b.service" }],
  ["a unit of a mount", "/system.slice/srv-a\\x2db.mount", { unit: "srv-a\\x2db.mount" }],
  ["no unit with a control character", "/system.slice/a\u001b[2J.service", {}],
  ["no unit with a line break", "/system.slice/a\nb.service", {}],
  ["the root", "/", {}],
  ["a slice", "/system.slice", {}],
  ["a hand-made cgroup", "/batch/job-17", {}],
  ["an id that is too short", `/docker/${ID.slice(1)}`, {}],
  ["an id with a capital", `/docker/${ID.slice(1)}A`, {}],
  ["a directory called pod", "/pods/pod-a", {}],
];

describe("workloadOf", () => {
  for (const [what, path, workload] of PATHS) {
    it(`reads ${what}`, () => assert.deepEqual(workloadOf(path), workload));
  }
});
