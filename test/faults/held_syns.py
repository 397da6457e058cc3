#!/usr/bin/env python3
"""Holds COUNT sockets whose SYNs nobody answers, as a user without rights, until its input ends.

    held_syns.py COUNT UID

Run it in a network namespace of the test's own. Prints {"held": COUNT} when all of them wait.
"""
import errno
import json
import os
import socket
import subprocess
import sys

PROCESSES = 5
NOBODY_THERE = ("10.99.0.2", 9)


def sh(command):
    subprocess.run(command, shell=True, check=True)


def main():
    count, uid = int(sys.argv[1]), int(sys.argv[2])
    # Frames for an address that its other end does not have go nowhere.
    sh("ip link add silent type veth peer name void && ip link set void up && ip link set silent up")
    sh("ip address add 10.99.0.1/24 dev silent")
    sh("ip neighbour add 10.99.0.2 lladdr 02:00:00:00:00:99 dev silent nud permanent")
    sh("echo '1024 65535' > /proc/sys/net/ipv4/ip_local_port_range")
    sh("echo 127 > /proc/sys/net/ipv4/tcp_syn_retries")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # A process may not have so many files.
    pipes = [start(count // PROCESSES) for _ in range(PROCESSES)]
    held = sum(int(pipe.readline()) for pipe in pipes)
    print(json.dumps({"held": held}), flush=True)
    sys.stdin.read()
    for _ in pipes:
        os.wait()


def start(count):
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        return os.fdopen(reading)
    held = [hold() for _ in range(count)]
    os.write(writing, b"%d\n" % len(held))
    sys.stdin.read()
    os._exit(0)


def hold():
    sock = socket.socket()
    sock.setblocking(False)
    assert sock.connect_ex(NOBODY_THERE) == errno.EINPROGRESS
    return sock


main()
