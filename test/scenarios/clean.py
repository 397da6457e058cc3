#!/usr/bin/env python3
"""Ordinary traffic, in which nothing is wrong: there must be no finding.

    clean.py CONNECTIONS

Connections to a server that is restarted meanwhile, some closed halfway, some reset; DNS-like
questions through a masquerading host; a port scan that is answered with resets.
"""
import errno
import os
import signal
import socket
import struct
import sys

from net import World, finish, say
from servers import echo_udp

SERVER = "10.9.0.2"
WEB, DNS = 8080, 53


def serve_web(parent):
    listener = socket.create_server((SERVER, WEB), backlog=512)
    parent.report("listening")
    while True:
        connection = listener.accept()[0]
        connection.settimeout(5)
        try:
            while question := connection.recv(100):
                connection.sendall(question)
        except OSError:
            pass
        connection.close()


def fetch(how):
    sock = socket.socket()
    try:
        sock.connect((SERVER, WEB))
        sock.sendall(b"question")
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "half_closed":
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(100):
                pass
        else:
            sock.recv(100)
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        sock.close()


def resolve():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(2)
    sock.connect((SERVER, DNS))
    sock.send(b"example.test A?")
    sock.send(b"example.test AAAA?")
    answers = {sock.recv(512), sock.recv(512)}
    sock.close()
    return len(answers)


def scan(ports):
    refused = 0
    for port in range(20000, 20000 + ports):
        with socket.socket() as sock:
            refused += sock.connect_ex((SERVER, port)) == errno.ECONNREFUSED
    return refused


def client(count):
    def body(parent):
        kinds = ("plain", "half_closed", "reset", "plain")
        while True:
            parent.wait()
            fetched = [fetch(kinds[index % 4]) for index in range(count)]
            parent.report([fetched.count("ok"), sum(resolve() for _ in range(count // 4)),
                           scan(count // 10)])
    return body


def build(world):
    world.link("host", "10.8.1.1/24", "box", "10.8.1.2/24")
    world.link("host", "10.9.0.1/24", "server", f"{SERVER}/24")
    world.ip("box", "route add default via 10.8.1.1\n")
    world.sysctl("host", "net.ipv4.ip_forward", 1)
    world.nft("host", """table ip t { chain post { type nat hook postrouting priority srcnat;
        oifname "server" masquerade; }
    }""")


def main():
    count = int(sys.argv[1])
    with World("host", "box", "server") as world:
        build(world)
        world.start("server", echo_udp((SERVER, DNS))).read()
        box = world.start("box", client(count // 3), comm="box")
        totals = [0, 0, 0]
        for _ in range(3):
            web = world.start("server", serve_web)
            web.read()
            box.proceed()
            totals = [total + more for total, more in zip(totals, box.read())]
            say(f"{totals[0]} connections, {totals[1]} answers, {totals[2]} refused by a scan")
            os.kill(web.pid, signal.SIGKILL)
            os.waitpid(web.pid, 0)
        finish(connections=totals[0], answers=totals[1], refused=totals[2], pid=box.pid)


main()
