import { NEEDS } from "../../src/daemon/privileges.ts";
import { code, table } from "./markdown.ts";

export function capabilityTable(): string {
  return table(
    ["capability", "needed to attach", "needed while it runs"],
    NEEDS.map(({ capability, toAttach = "", toRun = "" }) => [code(capability), toAttach, toRun]),
  );
}
