import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { type Finished, start } from "./commands.ts";

export const MODULE = "nf_conntrack";

export function addModule(): void {
  execFileSync("modprobe", [MODULE]);
}

/** With what depends on it; modprobe finds the first of these by itself, but not theirs. */
export function removeModule(): Promise<Finished> {
  const dependents = ["nft_chain_nat", "nft_masq", "nft_ct"].filter(isLoaded);
  return start("modprobe", ["-r", "--remove-holders", ...dependents, MODULE]).done;
}

export function isLoaded(name: string): boolean {
  return existsSync(`/sys/module/${name}`);
}

/** What nft deleted is taken down somewhat later (nf_tables_trans_destroy_work). */
export async function isRemoved(): Promise<boolean> {
  return (await removeModule()).code === 0;
}
