#!/usr/bin/env python3
"""Holds sockets in network namespaces of the benchmark's own, or fills a conntrack table there.

    census.py sockets COUNT NETNS...
    census.py flows COUNT NETNS

Opens COUNT sockets in each namespace of ip-netns(8), all on loopback: of ten, eight are the ends of four
TCP connections, and two are UDP sockets that are connected. Then prints a line, and for each line of
input, which names a namespace, opens one more connection in there and prints another line; until its
input ends. Flows are datagrams to as many addresses, for which nft(8) asks conntrack.
"""
import ctypes
import errno
import fcntl
import resource
import socket
import struct
import subprocess
import sys

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP_RUNNING = 0x41
RULE = "table ip bench { chain c { type filter hook output priority 0; ct state new accept; }; }"
LISTENERS = 4
libc = ctypes.CDLL(None, use_errno=True)
keep = []
listening = {}


def enter(name):
    with open(f"/run/netns/{name}") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"enter {name}")


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP_RUNNING))


def listen():
    """On the first ports that no other process of this kind has taken."""
    listeners, port = [], 4500
    while len(listeners) < LISTENERS:
        listener = socket.socket()
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(64)
            listeners.append(listener)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        port += 1
    return listeners


def connect(listener):
    keep.append(socket.create_connection(listener.getsockname()))
    keep.append(listener.accept()[0])


def connect_udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", 4600))
    keep.append(sock)


def fill(name, count):
    enter(name)
    loopback_up()
    listening[name] = listen()
    for number in range(count // 10):
        for _ in range(4):
            connect(listening[name][number % LISTENERS])
        for _ in range(2):
            connect_udp()


def hold(count, names):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for name in names:
        fill(name, count)
    print("ready", flush=True)
    for line in sys.stdin:
        name = line.strip()
        enter(name)
        connect(listening[name][0])
        print("changed", flush=True)


def send_flows(count, name):
    enter(name)
    loopback_up()
    subprocess.run(["nft", RULE], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(count):
            sock.sendto(b"", (f"127.1.{number >> 8 & 255}.{number & 255}", 5000 + (number >> 16)))


what, count, names = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
if what == "sockets":
    hold(count, names)
else:
    send_flows(count, names[0])
