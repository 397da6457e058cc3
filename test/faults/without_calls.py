#!/usr/bin/env python3
"""Runs a command that may not make some system calls, as in a container or a strict service: EPERM.

    without_calls.py NUMBER[,NUMBER]... COMMAND [ARGUMENT]...
"""
import ctypes
import os
import struct
import sys

PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
LOAD_NUMBER = struct.pack("<HBBI", 0x20, 0, 0, 0)  # offset of nr in struct seccomp_data
REFUSE = struct.pack("<HBBI", 0x06, 0, 0, 0x00050000 | 1)  # SECCOMP_RET_ERRNO | EPERM
ALLOW = struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000)


def refuse(numbers):
    tests = [struct.pack("<HBBI", 0x15, 0, 1, number) + REFUSE for number in numbers]
    code = LOAD_NUMBER + b"".join(tests) + ALLOW
    instructions = ctypes.create_string_buffer(code)
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(program), 0, 0):
        raise OSError(ctypes.get_errno(), "install filter")


refuse([int(number) for number in sys.argv[1].split(",")])
os.execvp(sys.argv[2], sys.argv[2:])
