#!/usr/bin/env python3
"""Holds local ports in each way there is, until it is ended by a signal.

    ports.py STEP=COUNT...

Run it in a network namespace of the test's own whose ip_local_port_range begins at 20000; all goes to
loopback. Prints one line of JSON once everything is there: the local ports that this took, by who
holds them. The kernel may take one port towards several peers. A step makes COUNT of

    tcp             connections to port 4500, each from a port of its own
    more            the same, where another process listens
    mapped          connections to port 4500 from IPv6 sockets
    tcp6            connections to [::1]:4510
    shared          ports from 20900 on, each with connections to 4500, 4501, 4502 and 4503
    listener        listeners from 20700 on, each with one connection
    bound_tcp       TCP sockets that are bound, to ports from 20600 on, and nothing else
    udp_bound       UDP sockets bound to ports from 20800 on
    udp_reserved    UDP sockets bound to ports from 20010 on
    udp_connected   UDP sockets connected to port 4600
    time_wait       connections to port 4504 that are over
    orphaned        connections to port 4505 that only this side has closed
"""
import json
import os
import resource
import signal
import socket
import sys
import time

LOOPBACK = "127.0.0.1"
# Steps that name their ports go before any for which the kernel chooses: it might choose those.
FIXED = ("bound_tcp", "listener", "shared", "udp_bound", "udp_reserved")
keep = []
later = []
listeners = {}
ports = {"tcp": [], "udp": [], "time_wait": [], "orphaned": []}


def took(holder, sock):
    ports[holder].append(sock.getsockname()[1])
    return sock


def listen(port, host=LOOPBACK):
    if (host, port) not in listeners:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listeners[host, port] = socket.create_server((host, port), family=family, backlog=4096)
    return listeners[host, port]


def connect(port, host=LOOPBACK, source=None, family=socket.AF_INET, holder="tcp"):
    """Both ends of a connection."""
    server = listen(port, host.replace("::ffff:", ""))
    sock = socket.socket(family)
    if source is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((LOOPBACK, source))
    sock.connect((host, port))
    return took(holder, sock), server.accept()[0]


def bind(kind, port):
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind((LOOPBACK, port))
    keep.append(took("tcp" if kind == socket.SOCK_STREAM else "udp", sock))


def tcp(_):
    keep.extend(connect(4500))


def more(_):
    sock = socket.create_connection((LOOPBACK, 4500))
    keep.append(took("tcp", sock))


def mapped(_):
    keep.extend(connect(4500, f"::ffff:{LOOPBACK}", family=socket.AF_INET6))


def tcp6(_):
    keep.extend(connect(4510, "::1", family=socket.AF_INET6))


def shared(index):
    for port in (4500, 4501, 4502, 4503):
        keep.extend(connect(port, source=20900 + index))


def listener(index):
    took("tcp", listen(20700 + index))
    later.append(lambda: keep.extend(connect(20700 + index)))


def bound_tcp(index):
    bind(socket.SOCK_STREAM, 20600 + index)


def udp_bound(index):
    bind(socket.SOCK_DGRAM, 20800 + index)


def udp_reserved(index):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOOPBACK, 20010 + index))
    keep.append(sock)


def udp_connected(_):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((LOOPBACK, 4600))
    keep.append(took("udp", sock))


def time_wait(_):
    client, server = connect(4504, holder="time_wait")
    client.close()
    server.recv(1)
    server.close()


def orphaned(_):
    client, server = connect(4505, holder="orphaned")
    client.close()
    keep.append(server)


def main():
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    steps = [step.split("=") for step in sys.argv[1:]]
    for name, count in sorted(steps, key=lambda step: step[0] not in FIXED):
        for index in range(int(count)):
            globals()[name](index)
    for finish in later:
        finish()
    time.sleep(0.1)
    print(json.dumps({"pid": os.getpid(), "ports": ports}), flush=True)
    signal.pause()


main()
