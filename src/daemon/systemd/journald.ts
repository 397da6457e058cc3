import { fstatSync } from "node:fs";

/** By pino's levels; syslog(3), with which a line begins for journald (sd-daemon(3)). */
const PRIORITIES: readonly (readonly [level: number, priority: number])[] = [
  [60, 2],
  [50, 3],
  [40, 4],
  [30, 6],
  [0, 7],
];

/** Whether what is written to this descriptor goes to journald (systemd.exec(5), JOURNAL_STREAM). */
export function isJournal(fd: number, environment: NodeJS.ProcessEnv): boolean {
  const { dev, ino } = fstatSync(fd);
  return environment.JOURNAL_STREAM === `${dev}:${ino}`;
}

/** Gives each line of a message the priority of its level. */
export function withPriority(text: string, level: number): string {
  const priority = PRIORITIES.find(([least]) => level >= least)?.[1] ?? 7;
  return `${text.trimEnd()}\n`.replaceAll(/^(?=.)/gm, `<${priority}>`);
}
