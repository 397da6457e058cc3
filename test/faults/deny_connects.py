"""Has a cgroup's connects to IPv4 addresses refused by a BPF program: EPERM, as firewalls by cgroup do."""
import ctypes
import os
import platform
import struct

BPF_PROG_LOAD = 5
BPF_PROG_ATTACH = 8
BPF_PROG_TYPE_CGROUP_SOCK_ADDR = 18
BPF_CGROUP_INET4_CONNECT = 10
BPF_F_ALLOW_MULTI = 2

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]

# r0 = 0; exit
REFUSE = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)


def bpf(command, attr):
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attr)
    result = libc.syscall(SYS_BPF, command, buffer, len(attr))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf command {command}")
    return result


def deny_connects(cgroup):
    """Until the cgroup is removed."""
    instructions = ctypes.create_string_buffer(REFUSE)
    name = ctypes.create_string_buffer(b"MIT")
    pointers = ctypes.addressof(instructions), ctypes.addressof(name)
    # union bpf_attr of include/uapi/linux/bpf.h: to expected_attach_type
    load = struct.pack("<IIQQIIQII16sII", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 2, *pointers,
                       0, 0, 0, 0, 0, b"deny_connects", 0, BPF_CGROUP_INET4_CONNECT)
    program = bpf(BPF_PROG_LOAD, load)
    directory = os.open(cgroup, os.O_RDONLY)
    attach = struct.pack("<IIII", directory, program, BPF_CGROUP_INET4_CONNECT, BPF_F_ALLOW_MULTI)
    bpf(BPF_PROG_ATTACH, attach)
    os.close(directory)
    os.close(program)
