import { release } from "node:os";

/** The part of a test's context that is needed here. */
interface Skippable {
  skip(message?: string): void;
}

/** Numbers of a version's first two parts: [6, 12] of "6.12.117+deb13-cloud-amd64". */
function versionParts(version: string): [major: number, minor: number] {
  const parts = /^(\d+)\.(\d+)/.exec(version);
  if (!parts) throw new Error(`read kernel version: "${version}" does not begin with one`);
  return [Number(parts[1]), Number(parts[2])];
}

/** Whether a kernel's version is below `since` ("6.1"). */
export function isOlder(running: string, since: string): boolean {
  const [major, minor] = versionParts(running);
  const [sinceMajor, sinceMinor] = versionParts(since);
  return major < sinceMajor || (major === sinceMajor && minor < sinceMinor);
}

function reason(since: string, why: string): string {
  return `needs kernel ${since}: ${why}`;
}

/**
 * For a test that older kernels cannot pass: true if this kernel can; otherwise skips the test
 * with the reason and is false. `if (!sinceKernel(t, "6.1", "…")) return;`
 */
export function sinceKernel(
  t: Skippable,
  since: string,
  why: string,
  running = release(),
): boolean {
  if (!isOlder(running, since)) return true;
  t.skip(reason(since, why));
  return false;
}

/**
 * For a test that finds at run time that it cannot go on: skips it where the kernel is older than
 * `since`, and throws where it is not, so that a lost ability is a failure and no skip.
 */
export function cannotBefore(t: Skippable, since: string, why: string, running = release()): void {
  if (sinceKernel(t, since, why, running)) {
    throw new Error(`kernel ${running} should be able to, being ${since} or later: ${why}`);
  }
}

/**
 * Whether a skip's reason, as the test report has it, is one that holds for this kernel.
 * Any other skip in a guest is a test that silently did not run.
 */
export function isRightfulSkip(text: string, running: string): boolean {
  const since = /^needs kernel (\d+\.\d+): \S/.exec(text)?.[1];
  return since !== undefined && isOlder(running, since);
}
