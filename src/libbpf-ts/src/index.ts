export { Btf, BtfKind } from "./btf/btf.ts";
export {
  type FieldKind,
  type FieldLayout,
  type ScalarKind,
  type StructLayout,
  structLayout,
} from "./btf/layout.ts";
export { enumValues } from "./btf/query.ts";
export {
  allowDumps,
  CAPABILITIES,
  type Capability,
  clearAmbientCapabilities,
  dieWithParent,
  dropFromBoundingSet,
  forbidNewPrivileges,
  keepCapabilitiesAcrossSetuid,
  permittedCapabilities,
  setCapabilities,
} from "./capabilities.ts";
export { MapType, UpdateFlag } from "./constants.ts";
export { BpfError, errnoName } from "./errors.ts";
export { checkLayout } from "./gen/check.ts";
export { type GenerateOptions, generateLayouts } from "./gen/gen.ts";
export type { GlobalValue } from "./globals.ts";
export type { LinkInfo, MapInfo, ProgramInfo } from "./info.ts";
export { Link } from "./link.ts";
export { BpfMap, type MapKey, type MapSpec, possibleCpus } from "./map.ts";
export { pageBytes, returnFreedMemory } from "./memory.ts";
export { LoadedObject, type LoadOptions, OpenObject, type OpenOptions } from "./object.ts";
export { OpenMap } from "./open-map.ts";
export {
  bindSocket,
  clockNs,
  clockResolutionNs,
  closeFd,
  connectSocket,
  hasUser,
  inetAddress,
  isWritable,
  listenOn,
  memoryFile,
  netlinkAddress,
  openFilesLimit,
  openSocket,
  Posix,
  receive,
  sendNow,
  sendTo,
  setNamespace,
  setSocketOption,
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
  type TestRunOptions,
} from "./program.ts";
export { RingBuffer } from "./ring.ts";
export { RecordBatch } from "./ring-batch.ts";
export type { DrainOptions, RecordHandler } from "./ring-drain.ts";
export type { Subscription, WakeOptions } from "./ring-wake.ts";
export { type FilterInstruction, installFilter } from "./seccomp.ts";
export { libbpfVersion } from "./version.ts";
export { type RecordViews, readString, recordViews } from "./views.ts";
