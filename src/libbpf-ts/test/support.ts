import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Btf, OpenObject } from "../src/index.ts";

/** Path of an object built from test/bpf. */
export function objectPath(name: string): string {
  return fileURLToPath(new URL(`../bpf/${name}.bpf.o`, import.meta.url));
}

export function openTestObject(name: string): OpenObject {
  return OpenObject.openFile(objectPath(name));
}

export function testBtf(name: string): Btf {
  return Btf.fromObject(readFileSync(objectPath(name)), name);
}

/** Bytes of a packet for a socket filter's test run, the Ethernet header included. */
export function packet(payloadBytes = 50): Uint8Array {
  return new Uint8Array(14 + payloadBytes);
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

export function u64(value: bigint): Uint8Array {
  return new Uint8Array(new BigUint64Array([value]).buffer);
}

export function asU32(bytes: Uint8Array | undefined): number | undefined {
  if (bytes === undefined) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

export function asU64(bytes: Uint8Array | undefined): bigint | undefined {
  if (bytes === undefined) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until something holds; throws after a time by which it must. */
export async function until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not so within ${timeoutMs} ms`);
    await sleep(2);
  }
}
