import { readFileSync } from "node:fs";
import { BpfError, Btf, checkLayout, type Link, type LoadedObject, OpenObject } from "libbpf-ts";
import { backendNames, countersLayout } from "../events/events.gen.ts";
import type { Backend, Globals, Kprobe, Probe } from "../probes/probe.ts";
import { moduleInstanceId } from "./modules.ts";
import { objectPath } from "./objects.ts";
import type { ProbeMaps } from "./probe-maps.ts";
import type { SharedMaps } from "./shared-maps.ts";
import { findSymbol, readSymbols } from "./symbols.ts";

/** A backend that was not taken, or not by its best programs, and the reason. */
export interface RejectedBackend {
  readonly backend: string;
  readonly reason: string;
}

export interface AttachSettings {
  /** Open file descriptor of the cgroup2 directory that connects are watched in. */
  readonly cgroupFd: number | undefined;
  /** Used in place of those that the object would make. */
  readonly maps: Pick<ProbeMaps, "all">;
  /** Used by other probes, too. */
  readonly shared: SharedMaps;
  /** Where the compiled programs are; by default beside the compiled sources. */
  readonly bpfDir?: string | undefined;
  /** Variables of the object, for all backends. */
  readonly globals: Globals;
}

const INTERRUPTED = ["EAGAIN", "EINTR"];
const MAX_LOAD_TRIES = 5;

/** As records have them. */
const BACKEND_NUMBERS: ReadonlyMap<string, number> = new Map(
  Object.entries(backendNames).map(([number, name]) => [name, Number(number)]),
);

/** A probe in the kernel. */
export interface AttachedProbe {
  readonly probe: Probe;
  readonly backend: Backend;
  readonly object: LoadedObject;
  readonly links: readonly Link[];
  readonly rejected: readonly RejectedBackend[];
}

/** A probe for which this kernel permits no backend. */
export interface DetachedProbe {
  readonly probe: Probe;
  readonly rejected: readonly RejectedBackend[];
}

/**
 * Takes the first of `backends` that this kernel loads and attaches. `beforeAttach` is called
 * between the two: loading takes long, attaching does not.
 */
export function attachProbe(
  probe: Probe,
  backends: readonly Backend[],
  settings: AttachSettings,
  beforeAttach: () => void = () => {},
): AttachedProbe | DetachedProbe {
  const rejected: RejectedBackend[] = [];
  for (const candidate of backends) {
    const { module } = candidate;
    if (module !== undefined && moduleInstanceId(module) === undefined) {
      rejected.push({ backend: candidate.name, reason: `waiting for module ${module}` });
      continue;
    }
    const [best, dearer] = variantsOf(withoutAbsent(candidate));
    const tried = tryBackend(probe, best, settings, beforeAttach);
    if ("object" in tried) return { probe, rejected, ...tried };
    const second = dearer && tryBackend(probe, dearer, settings, beforeAttach);
    const cost = second && "object" in second ? `; ${candidate.otherwise?.cost}` : "";
    rejected.push({ backend: candidate.name, reason: tried.reason + cost });
    if (second && "object" in second) return { probe, rejected, ...second };
  }
  return { probe, rejected };
}

function variantsOf(backend: Backend): [best: Backend, dearer?: Backend] {
  const { otherwise } = backend;
  return otherwise === undefined
    ? [backend]
    : [backend, { ...backend, programs: otherwise.programs }];
}

function tryBackend(
  probe: Probe,
  backend: Backend,
  settings: AttachSettings,
  beforeAttach: () => void,
): Pick<AttachedProbe, "backend" | "object" | "links"> | Pick<RejectedBackend, "reason"> {
  try {
    const object = loadBackend(probe, backend, settings);
    beforeAttach();
    return { backend, object, ...start(object, backend, settings) };
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    return { reason: summaryOf(error) };
  }
}

/** One line: what failed, and what libbpf said first of it. */
function summaryOf({ message }: BpfError): string {
  const [what = "", said = ""] = message.split("\n");
  return said === "" ? what : `${what} (${said.replace(/^libbpf: /, "")})`;
}

export function isAttached(probe: AttachedProbe | DetachedProbe): probe is AttachedProbe {
  return "object" in probe;
}

/** Those that a forced choice leaves; a probe without the chosen one keeps its own order. */
export function backendsFor(probe: Probe, choice: string): readonly Backend[] {
  if (choice === "counters") return [];
  const forced = probe.backends.filter(({ name }) => name === choice);
  return forced.length > 0 ? forced : probe.backends;
}

/** Ends the stream of records; what is in the ring and the counters can still be read. */
export function detachProbe({ links }: AttachedProbe): void {
  for (const link of links) link.close();
}

/** The kernel frees programs and maps with their last descriptor. */
export function closeProbe({ object }: AttachedProbe): void {
  object.close();
}

/**
 * The backend without the optional programs whose kernel function is not there under its own name:
 * a copy that the compiler specialised may take other arguments, and no trampoline reaches it.
 */
function withoutAbsent(backend: Backend): Backend {
  const { optional = {}, kprobes = [] } = backend;
  const wanted = Object.entries(optional);
  if (wanted.length === 0) return backend;
  const symbols = readSymbols(Object.values(optional));
  const absent = new Set(
    wanted.flatMap(([program, functionName]) =>
      findSymbol(functionName, symbols) === functionName ? [] : [program],
    ),
  );
  return {
    ...backend,
    programs: backend.programs.filter((program) => !absent.has(program)),
    kprobes: kprobes.filter(({ program }) => !absent.has(program)),
  };
}

function programNames(backend: Backend): Set<string> {
  const { programs, calledPrograms = [], cgroupPrograms = [], kprobes = [] } = backend;
  const probing = kprobes.map(({ program }) => program);
  return new Set([...programs, ...calledPrograms, ...cgroupPrograms, ...probing]);
}

/** By the first of its objects that this kernel loads. @throws BpfError: that of the last. */
function loadBackend(probe: Probe, backend: Backend, settings: AttachSettings): LoadedObject {
  const [first = probe.name, ...others] = backend.objects ?? [probe.name];
  try {
    return persistently(() => loadObject(first, probe, backend, settings));
  } catch (error) {
    if (others.length === 0 || !(error instanceof BpfError)) throw error;
    return loadBackend(probe, { ...backend, objects: others }, settings);
  }
}

/** What the kernel was interrupted in says nothing of what it permits. */
function persistently<T>(load: () => T): T {
  for (let tries = 1; ; tries++) {
    try {
      return load();
    } catch (error) {
      const isInterrupted = error instanceof BpfError && INTERRUPTED.includes(error.code);
      if (!isInterrupted || tries === MAX_LOAD_TRIES) throw error;
    }
  }
}

function loadObject(
  name: string,
  probe: Probe,
  backend: Backend,
  settings: AttachSettings,
): LoadedObject {
  const path = objectPath(name, settings.bpfDir);
  const opened = OpenObject.openFile(path);
  const wanted = programNames(backend);
  try {
    for (const [program, one] of opened.programs) one.autoload = wanted.has(program);
    for (const [map, made] of settings.maps.all) opened.map(map).reuse(made);
    settings.shared.lend(opened);
    const globals = {
      ...settings.globals,
      ...backend.globals,
      config_backend: BACKEND_NUMBERS.get(backend.name) ?? 0,
    };
    for (const [variable, value] of Object.entries(globals)) {
      opened.setGlobal(variable, typeof value === "number" ? BigInt(value) : value);
    }
    const btf = Btf.fromObject(readFileSync(path), path);
    for (const { layout } of probe.recordTypes) checkLayout(layout, btf);
    checkLayout(countersLayout, btf);
  } catch (error) {
    opened.close();
    throw error;
  }
  const loaded = opened.load();
  try {
    settings.shared.keep(loaded);
    return loaded;
  } catch (error) {
    loaded.close();
    throw error;
  }
}

function start(
  object: LoadedObject,
  backend: Backend,
  settings: AttachSettings,
): { links: Link[] } {
  try {
    return { links: attachPrograms(object, backend, settings) };
  } catch (error) {
    object.close();
    throw error;
  }
}

function attachPrograms(
  loaded: LoadedObject,
  { programs, cgroupPrograms = [], kprobes = [] }: Backend,
  { cgroupFd }: AttachSettings,
): Link[] {
  if (cgroupPrograms.length > 0 && cgroupFd === undefined) {
    throw new BpfError({
      operation: "attach",
      object: cgroupPrograms.join(", "),
      code: "ENOENT",
      detail: "no cgroup2 mount was found",
    });
  }
  // Results first: an attempt that began before its end could be seen would never be reported.
  const links = programs.map((name) => loaded.program(name).attach());
  const symbols = readSymbols(kprobes.map(({ functionName }) => functionName));
  for (const kprobe of kprobes) links.push(attachKprobe(loaded, kprobe, symbols));
  for (const name of cgroupPrograms) {
    links.push(loaded.program(name).attachCgroup(cgroupFd as number));
  }
  return links;
}

function attachKprobe(
  loaded: LoadedObject,
  { program, functionName, ret = false }: Kprobe,
  symbols: string,
): Link {
  const symbol = findSymbol(functionName, symbols);
  if (symbol === undefined) {
    throw new BpfError({
      operation: "attach kprobe",
      object: functionName,
      code: "ENOENT",
      detail: "the kernel has no such symbol",
    });
  }
  return loaded.program(program).attachKprobe(symbol, { ret });
}
