#!/usr/bin/env python3
"""Incident C: no free local port.

    local_ports.py plain | low | time_wait | bind_before_connect | bind_address_no_port | LINE | send | send_by_one

A namespace with a range of 200 ports. `plain`: 1,000 connects to one destination; `low`: 120, so that
none fails yet; `time_wait`: 120 that are over, where no new one may take over their ports. The next ones
bind to an address before they connect, to 300 destinations: without IP_BIND_ADDRESS_NO_PORT each locks a
port whatever its destination. LINE is Python, run before bind(), where `sock` is the socket. `send`: a
UDP datagram to each of 300 destinations by a socket of its own, `send_by_one` by one for all.
"""
import errno
import socket
import sys
from collections import Counter

from net import World, finish, say
from servers import close_tcp, hold_tcp

RANGE = (20000, 20199)
SERVICE = 9000
IP_BIND_ADDRESS_NO_PORT = 24
CLOSED_SERVICE = 9001
ATTEMPTS = 300
FIRST_ATTEMPTS = {"plain": 1000, "low": 120, "time_wait": 120}
LATER_ATTEMPTS = {"time_wait": 150}


def attempt(kind, index, kept):
    sock = socket.socket()
    kept.append(sock)
    try:
        if kind in ("plain", "low"):
            sock.connect(("127.0.0.1", SERVICE))
            return "ok"
        if kind == "time_wait":
            sock.connect(("127.0.0.1", CLOSED_SERVICE))
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)
            kept.pop().close()
            return "ok"
        if kind == "bind_address_no_port":
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        elif kind != "bind_before_connect":
            exec(kind, {"sock": sock, "socket": socket})
        sock.bind(("127.0.0.1", 0))
        sock.connect((f"127.1.{index >> 8}.{index & 255}", SERVICE))
        return "ok"
    except OSError as error:
        kept.pop().close()
        return errno.errorcode[error.errno]


def send(kind, index, kept):
    if kind == "send" or not kept:
        kept.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    try:
        kept[-1].sendto(b"?", (f"127.1.{index >> 8}.{index & 255}", SERVICE))
        return "ok"
    except OSError as error:
        kept.pop().close()
        return errno.errorcode[error.errno]


def client(kind, attempts):
    act = send if kind.startswith("send") else attempt

    def body(parent):
        kept = []
        parent.report(Counter(act(kind, index, kept) for index in range(attempts)))
        parent.wait()
    return body


def crawl(world, kind, attempts):
    crawler = world.start("crowd", client(kind, attempts), comm="crawler")
    results = crawler.read()
    say(f"crawler with pid {crawler.pid}: {results} of {attempts}")
    return {"results": results, "pid": crawler.pid}


def main():
    kind = sys.argv[1]
    with World("crowd") as world:
        world.sysctl("crowd", "net.ipv4.ip_local_port_range", f"{RANGE[0]}\t{RANGE[1]}")
        world.start("crowd", hold_tcp(("0.0.0.0", SERVICE)), comm="service").read()
        world.start("crowd", close_tcp(("0.0.0.0", CLOSED_SERVICE)), comm="closer").read()
        if kind == "time_wait":
            world.sysctl("crowd", "net.ipv4.tcp_tw_reuse", 0)
        first = crawl(world, kind, FIRST_ATTEMPTS.get(kind, ATTEMPTS))
        later = LATER_ATTEMPTS.get(kind, ATTEMPTS)
        finish(lambda: crawl(world, kind, later), **first, netns=world.inum("crowd"),
               range=RANGE, service=SERVICE)


main()
