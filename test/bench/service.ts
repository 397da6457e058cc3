import { type DaemonProcess, startDaemonProcess } from "../support/commands.ts";

/** As systemd/tuplewatch.service does, with what it does for memory. */
export function startAsService(): Promise<DaemonProcess> {
  return startDaemonProcess([], {
    wrapper: ["env", "MALLOC_ARENA_MAX=1"],
    nodeFlags: ["--max-semi-space-size=1"],
  });
}
