#!/usr/bin/env python3
"""Has another process make system calls, as somebody would who runs code of his own in it.

    intruder.py PID < CALLS

CALLS is a JSON array with one array for each call: its number and up to six arguments, each an
integer, a text, which is put into the process's memory with a NUL at its end, or {"hex": BYTES},
which is put there as it is. Prints a JSON array of what became of each: "ok", the name of an error,
or the name of the signal that ended the process. The process goes on as if nothing had been. x86-64.
"""
import ctypes
import errno
import json
import os
import re
import signal
import struct
import sys

# linux/ptrace.h
PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_DETACH = 9, 12, 13, 17
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207

# struct user_regs_struct of asm/user_64.h
REGISTERS = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
    "fs_base gs_base ds es fs gs"
).split()
LAYOUT = struct.Struct(f"{len(REGISTERS)}Q")
ARGUMENTS = ["rdi", "rsi", "rdx", "r10", "r8", "r9"]
NO_SYSTEM_CALL = 2**64 - 1
SYSCALL = b"\x0f\x05"
RED_ZONE_BYTES = 128  # System V ABI for x86-64, section 3.2.2
ROOM_BYTES = 2048

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Ended(Exception):
    """The process was ended by a signal."""


class Victim:
    def __init__(self, pid):
        self.pid = pid
        self.memory = open(f"/proc/{pid}/mem", "r+b", buffering=0)
        self.signals = []
        self.ptrace(PTRACE_SEIZE)
        self.ptrace(PTRACE_INTERRUPT)
        self.wait()
        self.saved = self.registers()
        self.gate = self.find_system_call()

    def ptrace(self, request, data=None):
        if libc.ptrace(request, self.pid, None, data) < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"ptrace {request} of {self.pid}: {os.strerror(code)}")

    def wait(self):
        _, status = os.waitpid(self.pid, 0x40000000)  # __WALL
        if os.WIFSIGNALED(status):
            raise Ended(signal.Signals(os.WTERMSIG(status)).name)
        if os.WIFEXITED(status):
            raise Ended("exit")
        return status

    def registers(self):
        buffer = ctypes.create_string_buffer(LAYOUT.size)
        self.ptrace(PTRACE_GETREGS, buffer)
        return dict(zip(REGISTERS, LAYOUT.unpack(buffer.raw)))

    def set_registers(self, values):
        self.ptrace(PTRACE_SETREGS, LAYOUT.pack(*(values[name] for name in REGISTERS)))

    def find_system_call(self):
        """The vDSO has the instruction, for clocks that it cannot read by itself."""
        with open(f"/proc/{self.pid}/maps") as maps:
            found = re.search(r"^(\w+)-(\w+) .*\[vdso\]$", maps.read(), re.MULTILINE)
        start, end = (int(text, 16) for text in found.groups())
        self.memory.seek(start)
        return start + self.memory.read(end - start).index(SYSCALL)

    def call(self, number, *arguments):
        room = self.saved["rsp"] - RED_ZONE_BYTES - ROOM_BYTES
        values = {**self.saved, "rax": number, "rip": self.gate, "orig_rax": NO_SYSTEM_CALL}
        for name, argument in zip(ARGUMENTS, arguments):
            if isinstance(argument, int):
                values[name] = argument % 2**64
                continue
            data = bytes.fromhex(argument["hex"]) if isinstance(argument, dict) else argument.encode() + b"\0"
            self.memory.seek(room)
            self.memory.write(data)
            values[name] = room
            room += len(data) + -len(data) % 16
        self.set_registers(values)
        self.step()
        return ctypes.c_long(self.registers()["rax"]).value

    def step(self):
        while True:
            self.ptrace(PTRACE_SINGLESTEP)
            stopped_by = os.WSTOPSIG(self.wait())
            if stopped_by == signal.SIGTRAP:
                return
            self.signals.append(stopped_by)

    def release(self):
        """The kernel makes an interrupted call again if the registers are as it left them."""
        self.set_registers(self.saved)
        self.ptrace(PTRACE_DETACH)
        for number in self.signals:
            os.kill(self.pid, number)


def outcome(victim, call):
    try:
        result = victim.call(*call)
    except Ended as ended:
        return str(ended)
    return errno.errorcode[-result] if -4096 < result < 0 else "ok"


def main():
    calls = json.load(sys.stdin)
    victim = Victim(int(sys.argv[1]))
    outcomes = []
    for call in calls:
        outcomes.append(outcome(victim, call))
        if outcomes[-1].startswith("SIG"):
            break
    else:
        victim.release()
    print(json.dumps(outcomes))


main()
