import type { ConnectObserved } from "./observed.ts";

const PROGRAM_CHOSE: readonly ConnectObserved["technique"][] = ["bound_port", "reuseaddr"];

/** Whether the program asked for its local port by number; else the kernel chose it. */
export function choseOwnPort({ technique }: Pick<ConnectObserved, "technique">): boolean {
  return PROGRAM_CHOSE.includes(technique);
}
