/** What the path of a cgroup tells about who runs in it. */
export interface Workload {
  /** The systemd unit, as the system's manager has it. */
  readonly unit?: string;
  /** Id of the container, as its runtime has it: 64 hexadecimal digits. */
  readonly container?: string;
  /**
   * Uid of the Kubernetes pod, with dashes; of a static pod the digest of its manifest; of a pod
   * that Podman made its id.
   */
  readonly pod?: string;
}

/**
 * Reads the conventions of those who make cgroups, for version 1 and 2 alike:
 * systemd (docs/CONTROL_GROUP_INTERFACE.md), runc's two drivers as Docker, containerd and CRI-O use
 * them (`docker/ID`, `docker-ID.scope`, `kubepods/.../podUID/ID`, `cri-containerd-ID.scope`,
 * `PARENT.slice:cri-containerd:ID`, `crio-ID.scope`), and Podman (`libpod-ID.scope/container`).
 *
 * The outermost of each counts. What is below a container is made by whoever is in it, who may call
 * it like another container; below a unit, by the unit, such as a user's own manager. That unit is
 * the one that systemd finds, too: cg_path_get_unit().
 */
export function workloadOf(cgroupPath: string): Workload {
  let unit: string | undefined;
  let container: string | undefined;
  let pod: string | undefined;
  for (const directory of cgroupPath.split("/")) {
    const [, slice, id] = UNDRIVEN.exec(directory) ?? [];
    if (LXC.test(directory)) break;
    unit ??= unitIn(directory);
    pod ??= podIn(slice ?? directory);
    container = id ?? CONTAINER.exec(directory)?.[1];
    if (container !== undefined) break;
  }
  return {
    ...(unit !== undefined && { unit }),
    ...(container !== undefined && { container }),
    ...(pod !== undefined && { pod }),
  };
}

/**
 * The id alone, or with the runtime's name before it. What Podman and CRI-O call conmon is the
 * container's monitor, outside of it.
 */
const CONTAINER = /^(?:(?:docker|cri-containerd|crio|libpod|nerdctl)-)?([0-9a-f]{64})(?:\.scope)?$/;

/** What containerd makes of a systemd path when it was not told to use systemd. */
const UNDRIVEN = /^([^:]+\.slice):[^:]+:([0-9a-f]{64})$/;

/** A container of LXC has no id, but what is below was made in it. */
const LXC = /^lxc(?:\.payload(?:\..+)?)?$/;

/** unit_name_is_valid() permits no other character. */
const UNIT = /^[A-Za-z0-9:_.\\@-]+\.(?:service|scope|socket|mount|swap)$/;

/** systemd puts an underscore before names that the kernel has a use for: cg_escape(). */
function unitIn(segment: string): string | undefined {
  const name = segment.startsWith("_") ? segment.slice(1) : segment;
  return UNIT.test(name) ? name : undefined;
}

const UID = "[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}";
/** `podUID`, or `kubepods-burstable-podUID.slice`, in which dashes would mean nesting. */
const POD = new RegExp(`^(?:(?:.*-)?kubepods(?:-[a-z]+)?-)?pod(${UID})(?:\\.slice)?$`);

const PODMAN_POD = /^machine-libpod_pod_([0-9a-f]{64})\.slice$/;

function podIn(segment: string): string | undefined {
  return POD.exec(segment)?.[1]?.replaceAll("_", "-") ?? PODMAN_POD.exec(segment)?.[1];
}
