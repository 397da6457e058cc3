export { Btf, BtfKind } from "./btf/btf.ts";
export { kernelBtf, moduleBtf } from "./btf/kernel.ts";
export {
  type FieldKind,
  type FieldLayout,
  type ScalarKind,
  type StructLayout,
  structLayout,
} from "./btf/layout.ts";
export {
  enumValues,
  type FunctionSignature,
  findFunction,
  findTracepoint,
  hasField,
} from "./btf/query.ts";
export {
  CAPABILITIES,
  type Capability,
  clearAmbientCapabilities,
  dropFromBoundingSet,
  forbidNewPrivileges,
  keepCapabilitiesAcrossSetuid,
  permittedCapabilities,
  setCapabilities,
} from "./capabilities.ts";
export {
  AttachType,
  constantName,
  MapFlag,
  MapType,
  ProgramType,
  UpdateFlag,
} from "./constants.ts";
export { BpfError, errnoName } from "./errors.ts";
export {
  type FunctionProbeOptions,
  kernelBtfAvailable,
  type Probe,
  probeCgroup,
  probeFentry,
  probeFexit,
  probeHelper,
  probeIterator,
  probeKprobe,
  probeMapType,
  probeProgramType,
  probeTpBtf,
  probeTracepoint,
} from "./features.ts";
export { checkLayout } from "./gen/check.ts";
export { type GenerateOptions, generateLayouts } from "./gen/gen.ts";
export type { GlobalValue } from "./globals.ts";
export type { MapInfo, ProgramInfo } from "./info.ts";
export { Link } from "./link.ts";
export { BpfMap, type MapKey, possibleCpus } from "./map.ts";
export type { MapBatch } from "./map-batch.ts";
export { returnFreedMemory } from "./memory.ts";
export { LoadedObject, type LoadOptions, OpenObject, type OpenOptions } from "./object.ts";
export { OpenMap } from "./open-map.ts";
export {
  bindSocket,
  clockNs,
  clockResolutionNs,
  closeFd,
  netlinkAddress,
  openSocket,
  Posix,
  receive,
  sendTo,
  setNamespace,
  socketName,
  socketOption,
  unixAddress,
  waitReadable,
} from "./posix.ts";
export {
  enableRunStats,
  type KprobeOptions,
  OpenProgram,
  Program,
  readIterator,
  type TestRunOptions,
} from "./program.ts";
export { RingBuffer } from "./ring.ts";
export { RecordBatch } from "./ring-batch.ts";
export type { DrainOptions, RecordHandler } from "./ring-drain.ts";
export type { Subscription, WakeOptions } from "./ring-wake.ts";
export { libbpfVersion } from "./version.ts";
export { type RecordViews, readString, recordViews } from "./views.ts";
