#!/usr/bin/env python3
"""Incident C: no free local port.

    local_ports.py plain | bind_before_connect | bind_address_no_port

A namespace with a range of 200 ports. `plain`: 1,000 connects to one destination. The others bind
to an address before they connect, to 300 destinations: without IP_BIND_ADDRESS_NO_PORT each locks a
port whatever its destination.
"""
import errno
import socket
import sys
from collections import Counter

from net import World, finish, say

RANGE = (20000, 20199)
SERVICE = 9000
IP_BIND_ADDRESS_NO_PORT = 24
ATTEMPTS = {"plain": 1000, "bind_before_connect": 300, "bind_address_no_port": 300}


def serve(parent):
    listener = socket.create_server(("0.0.0.0", SERVICE), backlog=1024)
    parent.report("listening")
    connections = []
    while True:
        connections.append(listener.accept()[0])


def attempt(kind, index, kept):
    sock = socket.socket()
    kept.append(sock)
    try:
        if kind == "plain":
            sock.connect(("127.0.0.1", SERVICE))
            return "ok"
        if kind == "bind_address_no_port":
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind(("127.0.0.1", 0))
        sock.connect((f"127.1.{index >> 8}.{index & 255}", SERVICE))
        return "ok"
    except OSError as error:
        kept.pop().close()
        return errno.errorcode[error.errno]


def client(kind):
    def body(parent):
        kept = []
        parent.report(Counter(attempt(kind, index, kept) for index in range(ATTEMPTS[kind])))
        parent.wait()
    return body


def main():
    kind = sys.argv[1]
    with World("crowd") as world:
        world.sysctl("crowd", "net.ipv4.ip_local_port_range", f"{RANGE[0]}\t{RANGE[1]}")
        world.start("crowd", serve, comm="service").read()
        crawler = world.start("crowd", client(kind), comm="crawler")
        results = crawler.read()
        say(f"crawler with pid {crawler.pid}: {results} of {ATTEMPTS[kind]} connects")
        finish(results=results, pid=crawler.pid, netns=world.inum("crowd"), range=RANGE,
               service=SERVICE)


main()
