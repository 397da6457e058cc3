import { fileURLToPath } from "node:url";
import { SYSTEM_CALLS } from "../../src/daemon/serve/system-calls.ts";

const WITHOUT_CALLS = fileURLToPath(
  new URL("../../../test/faults/without_calls.py", import.meta.url),
);

const UNMOUNT =
  "for at in tracing debug; do while umount -l /sys/kernel/$at; do :; done; done 2>/dev/null";
const MOUNT = "mount -t tracefs tracefs /sys/kernel/tracing";

/** Runs another command after a shell's, whose mounts are its own. */
function after(command: string): string[] {
  return ["unshare", "--mount", "sh", "-c", `${command}\nexec "$@"`, "sh"];
}

function withoutCall(name: string): string[] {
  const [x64, arm64] = SYSTEM_CALLS[name] ?? [];
  return ["python3", WITHOUT_CALLS, String(process.arch === "arm64" ? arm64 : x64)];
}

const NO_ADMIN = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];

/** What a daemon may find on a host: commands that run another one. */
export const TRACEFS_WRAPPERS = {
  mounted: after(`${UNMOUNT}; ${MOUNT}`),
  unmounted: after(UNMOUNT),
  /** Not mounted either, without the right to open it. */
  refused: [...after(UNMOUNT), ...NO_ADMIN],
  /** Mounted, without perf_event_open(2). */
  withoutPerf: [...after(`${UNMOUNT}; ${MOUNT}`), ...withoutCall("perf_event_open")],
} as const;
