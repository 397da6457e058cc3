#!/usr/bin/env python3
"""Incident D: two UDP sockets on one 4-tuple; the newer one gets the older one's answers."""
import socket

from net import World, finish, say

LOCAL, PEER = ("10.5.0.1", 7000), ("10.5.0.2", 7001)


def serve(parent):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(PEER)
    parent.report("listening")
    while True:
        question, sender = sock.recvfrom(100)
        sock.sendto(question, sender)


def connected():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(LOCAL)
    sock.connect(PEER)
    sock.settimeout(2)
    return sock


def ask(sock, question):
    sock.send(question)
    try:
        return sock.recv(100).decode()
    except TimeoutError:
        return None


def older(parent):
    sock = connected()
    parent.report(ask(sock, b"first"))
    parent.wait()
    parent.report(ask(sock, b"second"))


def newer(parent):
    sock = connected()
    parent.report("connected")
    parent.report(sock.recv(100).decode())


def main():
    with World("left", "right") as world:
        world.link("left", "10.5.0.1/24", "right", "10.5.0.2/24")
        world.start("right", serve).read()
        old = world.start("left", older, comm="older")
        say(f"older, pid {old.pid}: asks, and is answered {old.read()!r}")
        new = world.start("left", newer, comm="newer")
        new.read()
        say(f"newer, pid {new.pid}: connects to the same 4-tuple")
        old.proceed()
        stolen = new.read()
        say(f"newer: receives {stolen!r}, which it never asked for")
        answer = old.read()
        say(f"older: asks again, and is answered {answer!r}")
        finish(older_pid=old.pid, newer_pid=new.pid, answer=answer, stolen=stolen, local=LOCAL,
               peer=PEER, netns=world.inum("left"))


main()
