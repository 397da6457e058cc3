#!/usr/bin/env python3
"""What any user may do: use up the ports of many network namespaces of their own.

    user_namespaces.py UID COUNT

As that user makes COUNT user namespaces, each with a network namespace of two local ports, and
connects three UDP sockets in it. Prints how the last of them failed, one line for each result.
"""
import collections
import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def exhaust():
    if LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        return f"unshare: {errno.errorcode[ctypes.get_errno()]}"
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    fcntl.ioctl(socks[0], SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
        file.write("30000 30001")
    for sock in socks:
        try:
            sock.connect(("127.0.0.1", 9))
        except OSError as error:
            return errno.errorcode[error.errno]
    return "ok"


def main():
    uid, count = int(sys.argv[1]), int(sys.argv[2])
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    results = collections.Counter()
    for _ in range(count):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(writer, exhaust().encode())
            os._exit(0)
        os.waitpid(pid, 0)
        results[os.read(reader, 64).decode()] += 1
        os.close(reader)
        os.close(writer)
    for result, times in results.items():
        print(f"{times} {result}")


main()
