import { libbpf } from "./ffi.ts";

/**
 * Version of the library that is loaded, such as `1.1`.
 *
 * @throws BpfError when there is none to load.
 */
export function libbpfVersion(): string {
  return `${libbpf().libbpf_major_version()}.${libbpf().libbpf_minor_version()}`;
}
