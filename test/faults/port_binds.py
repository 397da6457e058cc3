#!/usr/bin/env python3
"""Asks for local ports in each way there is and prints what came of it as one line of JSON.

    port_binds.py KIND...

Run it in a network namespace of the test's own whose ip_local_port_range is 20000 to 20009. While it
does a kind, the process is called like it. The line has, by kind, how often each result came, and
the process that has the port where it is another one.
"""
import ctypes
import errno
import json
import os
import socket
import struct
import subprocess
import sys
from collections import Counter

IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h
IPPROTO_MPTCP = 262
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
# More than the range has ports.
MORE = 13
FEW = 3
CLOSED_PORT = 9
NOBODY = 65534
LIBC = ctypes.CDLL(None, use_errno=True)


def mptcp_or_tcp():
    """As programs do that prefer it: Debian's 5.10 has none."""
    try:
        socket.socket(socket.AF_INET, TCP, IPPROTO_MPTCP).close()
        return IPPROTO_MPTCP
    except OSError:
        return socket.IPPROTO_TCP


def result_of(act):
    try:
        act()
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]


def nothing(_sock):
    pass


def times(count, act, kind=TCP, family=socket.AF_INET, prepare=nothing, protocol=0):
    """The results of `count` sockets that are there together."""
    socks = [socket.socket(family, kind, protocol) for _ in range(count)]
    for sock in socks:
        prepare(sock)
    results = Counter(result_of(lambda: act(sock)) for sock in socks)
    for sock in socks:
        sock.close()
    return {"results": results}


def bind_any(sock):
    sock.bind((LOOPBACK[sock.family], 0))


def binding(host, port):
    return lambda sock: sock.bind((host, port))


def reusing(port):
    def bind(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
    return bind


def postpone_port(sock):
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)


def listen(sock):
    sock.listen()


def peer_of(sock):
    return (LOOPBACK[sock.family], CLOSED_PORT)


def connect(sock):
    sock.connect(peer_of(sock))


def send(sock):
    sock.sendto(b"x", peer_of(sock))


def send_message(sock):
    sock.sendmsg([b"x"], [], 0, peer_of(sock))


class Message(ctypes.Structure):
    """struct mmsghdr"""

    _fields_ = [
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint),
        ("parts", ctypes.c_void_p), ("part_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int), ("length", ctypes.c_uint),
    ]


def send_messages(sock):
    host, port = peer_of(sock)
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host)
    name, text = ctypes.create_string_buffer(address, 16), ctypes.create_string_buffer(b"x")
    part = (ctypes.c_size_t * 2)(ctypes.addressof(text), 1)
    message = Message(ctypes.addressof(name), 16, ctypes.addressof(part), 1)
    if LIBC.sendmmsg(sock.fileno(), ctypes.byref(message), 1, 0) < 0:
        raise OSError(ctypes.get_errno(), "sendmmsg")


class Child:
    """A process that keeps what `body` returns until it is ended."""

    def __init__(self, body):
        reader, writer = os.pipe()
        stop, self.stop = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.stop)
            kept = body()
            os.write(writer, b".")
            os.read(stop, 1)
            os._exit(0 if kept else 1)
        os.close(writer)
        os.close(stop)
        if os.read(reader, 1) != b".":
            sys.exit("the other process failed")
        os.close(reader)

    def end(self):
        os.close(self.stop)
        os.waitpid(self.pid, 0)


def rename(comm):
    with open("/proc/self/comm", "w") as file:
        file.write(comm)


def taken(host, port, kind=TCP, asked="127.0.0.1", family=socket.AF_INET, leave=lambda sock: sock,
          protocol=0):
    """A port that another process has already."""
    def hold():
        rename("holder")
        sock = socket.socket(family, kind, protocol)
        sock.bind((host, port))
        if kind == TCP:
            sock.listen()
        return leave(sock)
    holder = Child(hold)
    made = times(FEW, binding(asked, port), kind)
    holder.end()
    return {**made, "holder": holder.pid}


def leave_connection(listener):
    """Closes it; what it accepted is on the port still."""
    client = socket.create_connection(listener.getsockname())
    accepted = listener.accept()[0]
    listener.close()
    return client, accepted


def without_right():
    def become_nobody_and_bind():
        os.seteuid(NOBODY)
        return times(FEW, binding("127.0.0.1", 80))
    reader, writer = os.pipe()
    child = Child(lambda: os.write(writer, json.dumps(become_nobody_and_bind()).encode()))
    child.end()
    return json.loads(os.read(reader, 4096))


def with_full_buffer():
    """EAGAIN for another reason: datagrams wait for the address of a neighbour that is not there."""
    for command in ("add tw0 type veth peer tw1", "set tw0 up", "set tw1 up"):
        subprocess.run(["ip", "link", *command.split()], check=True)
    subprocess.run(["ip", "addr", "add", "192.0.2.1/24", "dev", "tw0"], check=True)
    with socket.socket(socket.AF_INET, UDP) as sock:
        sock.bind(("192.0.2.1", 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        sock.setblocking(False)
        results = Counter()
        while results["EAGAIN"] < FEW:
            results[result_of(lambda: sock.sendto(bytes(1000), ("192.0.2.2", CLOSED_PORT)))] += 1
    subprocess.run(["ip", "link", "delete", "tw0"], check=True)
    return {"results": results}


def raw():
    """Their number of a protocol is where others have their port."""
    results = Counter()
    for protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as sock:
            results[result_of(lambda: sock.bind(("127.0.0.1", 0)))] += 1
    return {"results": results}


V6 = socket.AF_INET6
KINDS = {
    "tcp_any": lambda: times(MORE, bind_any),
    "tcp6_any": lambda: times(MORE, bind_any, family=V6),
    "udp_any": lambda: times(MORE, bind_any, UDP),
    "udp6_any": lambda: times(MORE, bind_any, UDP, V6),
    "mptcp_any": lambda: times(MORE, bind_any, protocol=mptcp_or_tcp()),
    "mptcp_listen": lambda: times(FEW, listen, prepare=reusing(8011), protocol=mptcp_or_tcp()),
    "tcp_listen": lambda: times(MORE, listen),
    # One of those that are bound to a port may listen.
    "tcp_listen_late": lambda: times(FEW, listen, prepare=reusing(8009)),
    "udp_send": lambda: times(MORE, send, UDP),
    "udp6_send": lambda: times(MORE, send, UDP, V6),
    "udp_sendmsg": lambda: times(MORE, send_message, UDP),
    "udp_sendmmsg": lambda: times(MORE, send_messages, UDP),
    "udp_connect": lambda: times(MORE, connect, UDP),
    "tcp_taken": lambda: taken("127.0.0.1", 8000),
    "tcp_taken_any": lambda: taken("0.0.0.0", 8001),
    "tcp_taken_any6": lambda: taken("::", 8002, family=V6),
    "udp_taken": lambda: taken("127.0.0.1", 8003, UDP),
    "mptcp_taken": lambda: taken("127.0.0.1", 8012, protocol=mptcp_or_tcp()),
    "tcp_taken_gone": lambda: taken("127.0.0.1", 8004, leave=leave_connection),
    "no_address": lambda: times(FEW, binding("10.1.2.3", 8005)),
    "no_right": without_right,
    "full_buffer": with_full_buffer,
    "reuse": lambda: times(FEW, reusing(8006)),
    "no_port": lambda: times(MORE, bind_any, prepare=postpone_port),
    "bound_already": lambda: times(FEW, binding("127.0.0.1", 8007), UDP, prepare=bind_any),
    "raw": raw,
}


def main():
    kinds = sys.argv[1:]
    if not kinds or not set(kinds) <= set(KINDS):
        sys.exit(f"usage: port_binds.py KIND...; kinds: {' '.join(KINDS)}")
    made = {}
    for kind in kinds:
        rename(kind)
        made[kind] = KINDS[kind]()
    netns = os.stat("/proc/self/ns/net").st_ino
    print(json.dumps({"pid": os.getpid(), "netns": netns, "kinds": made}))


main()
