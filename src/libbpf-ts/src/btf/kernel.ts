import { readFileSync } from "node:fs";
import { BpfError } from "../errors.ts";
import { Btf } from "./btf.ts";

const DIRECTORY = "/sys/kernel/btf";

let cached: Btf | undefined;

function readBtf(name: string, base?: Btf): Btf {
  const path = `${DIRECTORY}/${name}`;
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const { code = "EIO" } = error as NodeJS.ErrnoException;
    throw new BpfError({ operation: "read kernel BTF", object: path, code });
  }
  return new Btf(bytes, path, base);
}

/**
 * The running kernel's BTF, read once.
 *
 * @throws BpfError ENOENT on a kernel without CONFIG_DEBUG_INFO_BTF.
 */
export function kernelBtf(): Btf {
  cached ??= readBtf("vmlinux");
  return cached;
}

/**
 * BTF of a module, read anew at each call, as modules come and go.
 *
 * @throws BpfError ENOENT when it is not loaded, or the kernel has no module BTF (before 5.11).
 */
export function moduleBtf(module: string): Btf {
  return readBtf(module, kernelBtf());
}
