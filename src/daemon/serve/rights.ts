import { dieWithParent, installFilter } from "libbpf-ts";
import type { User } from "../own-user.ts";
import { becomeServing } from "../privileges.ts";
import { type Architecture, servingFilter } from "./filter.ts";

/**
 * Called once all is loaded and opened, and before anything is taken from outside.
 *
 * @param user undefined: it has been that user from the start.
 */
export function giveUpRights(user: User | undefined): void {
  becomeServing(user);
  // The kernel forgets it when the user changes (commit_creds()).
  dieWithParent();
  installFilter(servingFilter(process.pid, process.arch as Architecture), "all");
}
