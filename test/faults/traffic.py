#!/usr/bin/env python3
"""Ordinary traffic, in which nothing collides. For a machine of its own: a guest.

    traffic.py CYCLES | SECONDSs

Two containers behind a router that masquerades talk to a server, and a third place to itself: short
and half-closed connections, resets, queries by UDP, scans of closed ports. Each of the three clients
goes through all of these CYCLES times, or for SECONDS (as `600s`). Makes and removes its own network
namespaces. Prints one line of JSON: how many connect() there were by protocol and result, and
how the kernel's counters of these namespaces moved.
"""
import collections
import ctypes
import errno
import json
import os
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
ROUTER, SERVER, ALONE = "tw-router", "tw-server", "tw-alone"
CONTAINERS = ("tw-one", "tw-two")
ALL = (ROUTER, SERVER, ALONE, *CONTAINERS)
SERVER_ADDRESS = "10.88.0.2"
TCP_PORT, UDP_PORT = 8000, 5300
CLOSED_PORTS = range(9000, 9005)
# Nothing is lost here: what comes late comes.
ANSWER_S = 60
# Each client goes through all kinds this often at most: others on the machine have to follow.
CYCLE_S = 0.25

counts = collections.Counter()
counting = threading.Lock()
stopping = threading.Event()


def run(*command, text=None):
    return subprocess.run(command, input=text, text=True, check=True, capture_output=True).stdout


def make_namespaces():
    run("ip", "-batch", "-", text="".join(f"netns add {name}\n" for name in ALL))
    for number, name in enumerate((SERVER, *CONTAINERS)):
        run("ip", "-batch", "-", text=f"""
            link add eth{number} netns {ROUTER} type veth peer name eth0 netns {name}""")
        run("ip", "-n", ROUTER, "-batch", "-", text=f"""
            addr add 10.88.{number}.1/24 dev eth{number}
            link set eth{number} up""")
        run("ip", "-n", name, "-batch", "-", text=f"""
            link set lo up
            addr add 10.88.{number}.2/24 dev eth0
            link set eth0 up
            route add default via 10.88.{number}.1""")
    run("ip", "-n", ALONE, "link", "set", "lo", "up")
    run("ip", "netns", "exec", ROUTER, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    run("ip", "netns", "exec", ROUTER, "nft", "-f", "-", text="""
        table ip nat {
          chain post {
            type nat hook postrouting priority 100;
            oifname "eth0" masquerade
          }
        }""")


def enter(name):
    """The calling thread alone."""
    with open(f"/run/netns/{name}") as netns:
        if LIBC.setns(netns.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {name}")


def serve_tcp(listener):
    while not stopping.is_set():
        try:
            sock, _ = listener.accept()
        except TimeoutError:
            continue
        with sock:
            sock.settimeout(ANSWER_S)
            try:
                while data := sock.recv(64):
                    sock.sendall(data)
            except OSError:
                pass  # the client resets some


def serve_udp(sock):
    while not stopping.is_set():
        try:
            data, peer = sock.recvfrom(64)
        except TimeoutError:
            continue
        sock.sendto(data, peer)


def server_sockets(name, address):
    """Opened in the namespace, served from anywhere."""
    enter(name)
    listener = socket.create_server((address, TCP_PORT), backlog=1024)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, UDP_PORT))
    for sock in (listener, datagrams):
        sock.settimeout(0.2)
    return [(serve_tcp, listener), (serve_udp, datagrams)]


def count(what):
    """Three clients count: without a lock one could write what the other has just raised."""
    with counting:
        counts[what] += 1


def connect(protocol, address):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET, kind)
    sock.settimeout(ANSWER_S)
    try:
        sock.connect(address)
        result = "ok"
    except OSError as error:
        result = errno.errorcode.get(error.errno, "timeout")
    count(f"{protocol} {result}")
    return sock


def exchange(sock):
    sock.sendall(b"question")
    return sock.recv(64)


def short(host):
    with connect("tcp", (host, TCP_PORT)) as sock:
        exchange(sock)


def half_closed(host):
    with connect("tcp", (host, TCP_PORT)) as sock:
        sock.sendall(b"question")
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(64):
            pass


def reset(host):
    with connect("tcp", (host, TCP_PORT)) as sock:
        exchange(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def nonblocking(host):
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex((host, TCP_PORT))
        select.select([], [sock], [], ANSWER_S)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        count(f"tcp {errno.errorcode[error] if error else 'ok'}")


def query(host):
    with connect("udp", (host, UDP_PORT)) as sock:
        exchange(sock)


def unconnected_query(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(ANSWER_S)
        sock.sendto(b"question", (host, UDP_PORT))
        sock.recv(64)
        count("datagrams")


def scan(host):
    for port in CLOSED_PORTS:
        connect("tcp", (host, port)).close()


KINDS = (short, half_closed, reset, nonblocking, query, unconnected_query, scan)


def client(name, host, cycles):
    enter(name)
    for _ in cycles():
        begun = time.monotonic()
        for kind in KINDS:
            try:
                kind(host)
            except OSError as error:
                count(f"unanswered {kind.__name__} {error}")
        time.sleep(max(0, begun + CYCLE_S - time.monotonic()))


def counters(name):
    netstat = run("ip", "netns", "exec", name, "cat", "/proc/net/netstat").splitlines()
    lines = [line.split() for line in netstat if line.startswith("TcpExt:")]
    moved = {key: int(value) for key, value in zip(lines[0], lines[1])
             if key in ("TCPChallengeACK", "TCPSYNChallenge")}
    if name == ROUTER:
        text = run("ip", "netns", "exec", name, "conntrack", "-S")
        for key in ("insert_failed", "drop", "clash_resolve"):
            moved[key] = sum(map(int, re.findall(rf"\b{key}=(\d+)", text)))
    return moved


def cycles_of(text):
    """What each client iterates over."""
    if not text.endswith("s"):
        return lambda: range(int(text))
    until = time.monotonic() + float(text[:-1])
    return lambda: iter(lambda: time.monotonic() < until, False)


def main():
    cycles = cycles_of(sys.argv[1])
    make_namespaces()
    servers = server_sockets(SERVER, SERVER_ADDRESS) + server_sockets(ALONE, "127.0.0.1")
    threads = [threading.Thread(target=serve, args=(sock,)) for serve, sock in servers]
    clients = [threading.Thread(target=client, args=(name, host, cycles)) for name, host in (
        *((name, SERVER_ADDRESS) for name in CONTAINERS), (ALONE, "127.0.0.1"))]
    for thread in threads + clients:
        thread.start()
    for thread in clients:
        thread.join()
    stopping.set()
    for thread in threads:
        thread.join()
    result = {"pid": os.getpid(), "counts": counts, "moved": {name: counters(name) for name in ALL}}
    run("ip", "-batch", "-", text="".join(f"netns delete {name}\n" for name in ALL))
    print(json.dumps(result), flush=True)


main()
