#!/usr/bin/env python3
"""
Incident D: two UDP sockets on one 4-tuple; the newer one gets the older one's answers.

    udp_overshadowing.py shared | own_port | exclusive | kernel

`own_port`: the newer one has a local port of its own. `exclusive`: neither sets SO_REUSEADDR.
`kernel`: one process leaves the ports of 48 such sockets to the kernel, which has 64.
"""
import errno
import socket
import sys

from net import World, finish, say
from servers import echo_udp

LOCAL, PEER = ("10.5.0.1", 7000), ("10.5.0.2", 7001)


def connected(kind, port=LOCAL[1]):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if kind != "exclusive":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((LOCAL[0], port))
    sock.connect(PEER)
    sock.settimeout(2)
    return sock


def ask(sock, question):
    sock.send(question)
    try:
        return sock.recv(100).decode()
    except TimeoutError:
        return None


def older(kind):
    def body(parent):
        sock = connected(kind)
        parent.report(ask(sock, b"first"))
        parent.wait()
        parent.report(ask(sock, b"second"))
        parent.wait()
    return body


def newer(kind):
    def body(parent):
        try:
            sock = connected(kind, 0 if kind == "own_port" else LOCAL[1])
        except OSError as error:
            parent.report(errno.errorcode[error.errno])
            return parent.report(None)
        parent.report("connected")
        try:
            parent.report(sock.recv(100).decode())
        except TimeoutError:
            parent.report(None)
        parent.wait()
    return body


def many(parent):
    socks = []
    for _ in range(48):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.connect(PEER)
        socks.append(sock)
    names = [sock.getsockname() for sock in socks]
    parent.report({"shared": len(names) - len(set(names))})
    parent.wait()


def leave_to_kernel():
    with World("left", "right") as world:
        world.link("left", "10.5.0.1/24", "right", "10.5.0.2/24")
        world.sysctl("left", "net.ipv4.ip_local_port_range", "20000\t20063")
        resolver = world.start("left", many, comm="resolver")
        shared = resolver.read()["shared"]
        say(f"resolver, pid {resolver.pid}: {shared} of its sockets have another one's port")
        finish(pid=resolver.pid, shared=shared, peer=PEER, netns=world.inum("left"))


def main():
    kind = sys.argv[1]
    if kind == "kernel":
        return leave_to_kernel()
    with World("left", "right") as world:
        world.link("left", "10.5.0.1/24", "right", "10.5.0.2/24")
        world.start("right", echo_udp(PEER)).read()
        old = world.start("left", older(kind), comm="older")
        say(f"older, pid {old.pid}: asks, and is answered {old.read()!r}")
        new = world.start("left", newer(kind), comm="newer")
        outcome = new.read()
        say(f"newer, pid {new.pid}: connects to the same peer: {outcome}")
        old.proceed()
        stolen = new.read()
        say(f"newer: receives {stolen!r}, and asked for nothing")
        answer = old.read()
        say(f"older: asks again, and is answered {answer!r}")
        finish(older_pid=old.pid, newer_pid=new.pid, outcome=outcome, answer=answer, stolen=stolen,
               local=LOCAL, peer=PEER, netns=world.inum("left"))


main()
