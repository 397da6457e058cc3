#!/usr/bin/env python3
"""Opens local ports by processes that have ended when it says so.

    port_openers.py KIND=COUNT...

Run it in a network namespace of the test's own whose ip_local_port_range begins at 20000; all goes to
loopback. What is to stay is kept until its input ends; then it prints nothing more. Each process is
called like its KIND, of which there are

    connecting   COUNT processes, each with a connection that is over
    binding      one process with COUNT connections that are over, each bound to a port before
    fixed        the same from the ports 20900 and up
    talking      one process that sends a datagram by each of COUNT sockets without a port
    starting     one process that binds COUNT listeners to ports from 20800 on
    flooding     one process of user 61234 that binds COUNT UDP sockets, one after the other, to
                 ports from 20000 on, of as many addresses as it takes
"""
import json
import os
import socket
import sys

LOOPBACK = "127.0.0.1"
SERVICE = (LOOPBACK, 4500)
FLOODER = 61234
FLOODED_PORTS = 900
pids = {}
kept = []


def run(name, body):
    """In a process that ends with it."""
    pid = os.fork()
    if pid == 0:
        with open("/proc/self/comm", "w") as file:
            file.write(name)
        body()
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        sys.exit(f"{name} failed")
    pids.setdefault(name, []).append(pid)


def connect_and_close(server, port=None):
    """This end closes first, and so waits in TIME_WAIT."""
    with socket.socket() as sock:
        if port is not None:
            sock.bind((LOOPBACK, port))
        sock.connect(SERVICE)
        accepted = server.accept()[0]
        sock.close()
        accepted.recv(1)
        accepted.close()


def connecting(count, server):
    for _ in range(count):
        run("connecting", lambda: connect_and_close(server))


def binding(count, server):
    run("binding", lambda: [connect_and_close(server, 0) for _ in range(count)])


def fixed(count, server):
    run("fixed", lambda: [connect_and_close(server, 20900 + index) for index in range(count)])


def talking(count, _server):
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    kept.extend(socks)
    run("talking", lambda: [sock.sendto(b"x", (LOOPBACK, 9)) for sock in socks])


def starting(count, _server):
    socks = [socket.socket() for _ in range(count)]
    kept.extend(socks)

    def start():
        for index, sock in enumerate(socks):
            sock.bind((LOOPBACK, 20800 + index))
            sock.listen()
    run("starting", start)


def flooding(count, _server):
    def flood():
        os.setuid(FLOODER)
        for index in range(count):
            address, port = divmod(index, FLOODED_PORTS)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((f"127.1.0.{1 + address}", 20000 + port))
    run("flooding", flood)


KINDS = {kind.__name__: kind for kind in (connecting, binding, fixed, talking, starting, flooding)}


def main():
    steps = [step.split("=") for step in sys.argv[1:]]
    if not steps or not all(len(step) == 2 and step[0] in KINDS for step in steps):
        sys.exit(f"usage: port_openers.py KIND=COUNT...; kinds: {' '.join(KINDS)}")
    server = socket.create_server(SERVICE, backlog=4096)
    for kind, count in steps:
        KINDS[kind](int(count), server)
    print(json.dumps({"pids": pids}), flush=True)
    sys.stdin.read()


main()
