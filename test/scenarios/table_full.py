#!/usr/bin/env python3
"""
A conntrack table that is full, on a machine of its own: the limit is one for all namespaces.

Datagrams to one port after another, until the firewall's entries reach the limit.
"""
import errno
import socket

from net import World, finish, say

LIMIT = "/proc/sys/net/netfilter/nf_conntrack_max"
ENTRIES = 40


def set_limit(value):
    with open(LIMIT, "r+") as file:
        before = file.read().strip()
        file.seek(0)
        file.write(str(value))
    return before


def send(first, count):
    def body(parent):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        results = []
        for port in range(first, first + count):
            try:
                sock.sendto(b"x", ("127.0.0.2", port))
                results.append("ok")
            except OSError as error:
                results.append(errno.errorcode[error.errno])
        parent.report(results)
        parent.wait()
    return body


def attempt(world, first, count):
    sender = world.start("crowd", send(first, count), comm="sender")
    results = sender.read()
    refused = len(results) - results.count("ok")
    say(f"sender, pid {sender.pid}: {refused} of {count} datagrams refused")
    return {"refused": refused, "pid": sender.pid}


def main():
    with World("crowd") as world:
        world.nft("crowd", """table ip t { chain out { type filter hook output priority filter;
            ct state new accept; }
        }""")
        before = set_limit(ENTRIES)
        try:
            first = attempt(world, 7000, 2 * ENTRIES)
            finish(lambda: attempt(world, 8000, ENTRIES // 4), **first, netns=world.inum("crowd"),
                   limit=ENTRIES)
        finally:
            set_limit(before)


main()
