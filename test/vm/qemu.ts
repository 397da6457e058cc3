import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import type { Readable } from "node:stream";

const MEMORY_MIB = 1536;

/**
 * What an emulated CPU pays dearly for, and no guest needs: page table isolation costs its TLB at
 * each system call, huge pages the whole TLB whenever a part of one is flushed; the others are work
 * at each allocation and system call. Together they take a tenth off a daemon's start.
 */
const CHEAPER = [
  "pti=off",
  "transparent_hugepage=never",
  "init_on_alloc=0",
  "hardened_usercopy=off",
  "apparmor=0",
  "audit=0",
];

export interface Machine {
  image: string;
  initramfs: string;
  shareSocket: string;
  consoleLog: string;
  withTerminal: boolean;
  /**
   * The guest's clock counts the instructions of its one CPU, a nanosecond each, whatever else this
   * machine does, and does not wait where there is nothing to do. Emulation even where there is KVM.
   */
  countsInstructions: boolean;
}

/** Descriptors of the QEMU process at which the guest's ports arrive. */
const PORTS = { control: 3, stdout: 4, stderr: 5 } as const;

/**
 * Whether this machine can run guests by hardware. /dev/kvm alone does not tell: hosts that
 * virtualise by page tables only (PVM) have it, and stop at a stock kernel's first vector
 * instruction with an "emulation failure".
 */
export function hasKvm(): boolean {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch {
    return false;
  }
  return /^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync("/proc/cpuinfo", "utf8"));
}

// Nehalem: with "max" under TCG a 6.1 kernel has been seen to end in a soft lockup.
function processors(countsInstructions: boolean): string[] {
  if (countsInstructions) {
    const clock = ["-icount", "shift=0,sleep=off"];
    return ["-accel", "tcg,thread=single", ...clock, "-cpu", "Nehalem", "-smp", "1"];
  }
  if (hasKvm()) return ["-accel", "kvm", "-cpu", "host", "-smp", "2"];
  return ["-accel", "tcg,thread=multi", "-cpu", "Nehalem", "-smp", "2"];
}

function kernelLine(countsInstructions: boolean): string {
  // panic=-1 with -no-reboot ends QEMU at once, which is how a panic is told from a hang.
  const common = ["console=ttyS0 loglevel=5 oops=panic panic=-1", ...CHEAPER];
  // Else the kernel takes the clock for unstable, and its scheduler's one steps by 4 ms.
  return [...common, ...(countsInstructions ? ["tsc=reliable"] : [])].join(" ");
}

function ports(): string[] {
  const one = ([name, descriptor]: [string, number]) => [
    "-chardev",
    `socket,id=${name},fd=${descriptor}`,
    "-device",
    `virtserialport,chardev=${name},name=${name}`,
  ];
  return ["-device", "virtio-serial-pci", ...Object.entries(PORTS).flatMap(one)];
}

function terminal(): string[] {
  return ["-chardev", "stdio,id=terminal,signal=off", "-device", "virtconsole,chardev=terminal"];
}

/** Starts QEMU; the guest's ports are read with {@link portStream}. */
export function startQemu(machine: Machine): ChildProcess {
  const args = [
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-machine", "q35"],
    ...processors(machine.countsInstructions),
    ...["-m", `${MEMORY_MIB}M`],
    // vhost-user devices reach into the guest's memory, so it must be shareable.
    ...["-object", `memory-backend-memfd,id=memory,size=${MEMORY_MIB}M,share=on`],
    ...["-numa", "node,memdev=memory"],
    ...["-kernel", machine.image, "-initrd", machine.initramfs],
    ...["-append", kernelLine(machine.countsInstructions)],
    ...["-chardev", `file,id=console,path=${machine.consoleLog}`, "-serial", "chardev:console"],
    ...["-chardev", `socket,id=share,path=${machine.shareSocket}`],
    ...["-device", "vhost-user-fs-pci,chardev=share,tag=root"],
    ...["-device", "virtio-rng-pci"],
    ...ports(),
    ...(machine.withTerminal ? terminal() : []),
  ];
  const tty = machine.withTerminal ? "inherit" : "ignore";
  return spawn("setpriv", ["--pdeathsig", "KILL", "qemu-system-x86_64", ...args], {
    stdio: [tty, tty, "pipe", "pipe", "pipe", "pipe"],
    detached: !machine.withTerminal,
  });
}

/** What the guest writes on one of its ports. */
export function portStream(qemu: ChildProcess, port: keyof typeof PORTS): Readable {
  // Node's types know five streams; a process has as many as it was started with.
  return (qemu.stdio as readonly unknown[])[PORTS[port]] as Readable;
}
