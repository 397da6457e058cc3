#!/usr/bin/env python3
"""
A client that tries a local port again and again until its service is up connects to itself.

    self_connect.py closed | listening | other_address

A namespace with a range of 8 local ports, of which the service's is one; others are reserved. `closed`: no service is
there. `listening`: it is. `other_address`: the client has the service's port at another address.
"""
import socket
import struct
import sys

from net import World, finish, say
from servers import hold_tcp

RANGE = (20000, 20007)
RESERVED = "9000-9001"
# connect() prefers ports of the parity of the first.
SERVICE = ("127.0.0.1", 20004)
ATTEMPTS = 400
FRESH = struct.pack("ii", 1, 0)


def attempt(kind):
    """The connected socket, or None; closed by a reset, it leaves no TIME_WAIT behind."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, FRESH)
    if kind == "other_address":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.2", SERVICE[1]))
    try:
        sock.connect(SERVICE)
        return sock
    except ConnectionRefusedError:
        sock.close()
        return None


def client(kind):
    def body(parent):
        for tries in range(1, ATTEMPTS + 1):
            sock = attempt(kind)
            if sock is None:
                continue
            sock.settimeout(1)
            sock.send(b"hello")
            own = sock.getsockname() == sock.getpeername()
            parent.report({"tries": tries, "itself": own, "heard": sock.recv(5).decode() if own else None})
            parent.wait()
        parent.report({"tries": ATTEMPTS, "itself": False, "heard": None})
    return body


def main():
    kind = sys.argv[1]
    with World("box") as world:
        world.sysctl("box", "net.ipv4.ip_local_port_range", f"{RANGE[0]}\t{RANGE[1]}")
        world.sysctl("box", "net.ipv4.ip_local_reserved_ports", RESERVED)
        if kind != "closed":
            world.start("box", hold_tcp(SERVICE), comm="service").read()
        running = []

        def replace(body, comm):
            """Ends what ran before, so that the port is free."""
            while running:
                world.end(running.pop())
            return begin(body, comm)

        def begin(body, comm):
            running.append(world.start("box", body, comm=comm))
            return running[-1]

        def retry(start=replace):
            process = start(client(kind), "client")
            result = process.read()
            say(f"client, pid {process.pid}: {result}")
            return {**result, "pid": process.pid}

        def serve():
            """The service comes up after all, and a client finds it."""
            replace(hold_tcp(SERVICE), "service").read()
            return retry(begin)

        again = {"retry": retry, "serve": serve}
        finish(lambda what="retry": again[what](), **retry(), netns=world.inum("box"),
               range=RANGE, service=SERVICE)


main()
