// A program of its own, so that it can be given mounts and rights: attaches to a tracepoint, hits it
// three times, and prints what was seen and what is left of it; or the error.
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { BpfError } from "../src/index.ts";
import { openTestObject } from "./support.ts";

/** Writing it renames the task, which is one hit of the tracepoint task_rename. */
function rename(times: number): void {
  for (let i = 0; i < times; i++) writeFileSync("/proc/self/comm", "traced");
}

function openFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // that of the directory itself
    }
  });
}

const opened = openTestObject("attach");
opened.program("on_fentry").autoload = false;
opened.setGlobal("config_tgid", process.pid);
const loaded = opened.load();
try {
  const link = loaded.program("on_tracepoint").attach();
  const mounts = readFileSync("/proc/self/mounts", "utf8").match(/^\S+ \S+ tracefs /gm) ?? [];
  rename(3);
  const attached = openFiles();
  link.close();
  rename(2);
  const isOf = (word: RegExp) => (file: string) => word.test(file);
  const result = {
    seen: Number(loaded.getGlobal("seen_tracepoint")),
    mounts: mounts.length,
    // The id's file, the mount and its context.
    tracefs: attached.filter(isOf(/^\/(events.*)?$|tracing|fscontext/)).length,
    events: attached.filter(isOf(/perf_event/)).length,
    eventsAfter: openFiles().filter(isOf(/perf_event/)).length,
  };
  process.stdout.write(JSON.stringify(result));
} catch (error) {
  if (!(error instanceof BpfError)) throw error;
  process.stdout.write(JSON.stringify({ message: error.message }));
} finally {
  loaded.close();
}
