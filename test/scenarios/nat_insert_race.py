#!/usr/bin/env python3
"""Incident B: two containers are masqueraded to the same source port at the same moment.

    nat_insert_race.py tcp | tcp_random_fully | dns | dns_one_socket

Both use source port 40001 (40053 for DNS) towards one server, through one host that masquerades.
A rule holds both first packets between NAT and the confirm step, so that they are there together.
`dns_one_socket` is the resolver's A and AAAA question from one socket, spread over two backends.
"""
import socket
import sys
import time

from hold import Holder
from net import World, finish, say
from servers import echo_udp, hold_tcp

SERVER = "10.9.0.2"
WEB, DNS = 8080, 53
RETRY_S = 1.2  # of the resolver; glibc's default is 5


def build(world, flags, destination=""):
    for number in (1, 2):
        world.link("host", f"10.8.{number}.1/24", f"box{number}", f"10.8.{number}.2/24")
        world.ip(f"box{number}", f"route add default via 10.8.{number}.1\n")
    world.link("host", "10.9.0.1/24", "server", f"{SERVER}/24")
    world.sysctl("host", "net.ipv4.ip_forward", 1)
    world.nft("host", f"""table ip t {{
        chain pre {{ type nat hook prerouting priority dstnat; {destination} }}
        chain post {{ type nat hook postrouting priority srcnat;
          oifname "server" masquerade {flags}; }}
        chain hold {{ type filter hook postrouting priority srcnat + 10;
          ct state new oifname "server" queue num 12; }}
    }}""")


def hold(groups):
    def body(parent):
        holder = Holder(12)
        parent.report("holding")
        holder.release_in_groups(groups)
        holder.release_all()
    return body


def fetch(offset):
    def body(parent):
        sock = socket.socket()
        sock.bind(("0.0.0.0", 40001 + offset))
        start = time.monotonic()
        sock.connect((SERVER, WEB))
        parent.report(time.monotonic() - start)
        sock.recv(1)
    return body


def resolve(offset):
    def body(parent):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("0.0.0.0", 40053 + offset))
        sock.settimeout(RETRY_S)
        start = time.monotonic()
        while True:
            sock.sendto(b"example.test A?", (SERVER, DNS))
            try:
                sock.recv(512)
                return parent.report(time.monotonic() - start)
            except TimeoutError:
                continue
    return body


def resolve_both(parent):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", 40053))
    sock.settimeout(RETRY_S)
    start = time.monotonic()
    for kind in (b"A?", b"AAAA?"):
        sock.sendto(b"example.test " + kind, (SERVER, DNS))
    answers = 0
    try:
        for answers in (1, 2):
            sock.recv(512)
    except TimeoutError:
        answers -= 1
    parent.report([answers, time.monotonic() - start])


def race(world, client, offset, what):
    """The first packets of both containers' flows are held, then let go together."""
    holder = world.start("host", hold([2]))
    holder.read()
    boxes = [world.start(f"box{number}", client(offset), comm=f"box{number}") for number in (1, 2)]
    seconds = [box.read() for box in boxes]
    for box, took in zip(boxes, seconds):
        say(f"container with pid {box.pid}: {what} took {took * 1000:.0f} ms")
    return holder, {"seconds": seconds, "pids": [box.pid for box in boxes]}


def containers(world, server, client, what):
    world.start("server", server).read()
    offsets = iter(range(100))
    holder, result = race(world, client, next(offsets), what)

    def again():
        nonlocal holder
        world.end(holder)
        holder, result = race(world, client, next(offsets), what)
        return result

    finish(again, **result, host=world.inum("host"), boxes=[world.inum("box1"), world.inum("box2")])


def one_socket(world):
    world.ip("server", "addr add 10.9.0.3/24 dev host\n")
    world.start("server", echo_udp(("0.0.0.0", DNS))).read()
    world.start("host", hold([2])).read()
    box = world.start("box1", resolve_both, comm="box1")
    answers, took = box.read()
    say(f"container with pid {box.pid}: {answers} answers in {took * 1000:.0f} ms")
    finish(answers=answers, seconds=[took], pids=[box.pid], host=world.inum("host"))


SPREAD = f"ip daddr {SERVER} udp dport 53 dnat to numgen inc mod 2 map {{ 0 : {SERVER}, 1 : 10.9.0.3 }};"


def main():
    kind = sys.argv[1]
    with World("host", "box1", "box2", "server") as world:
        build(world, "fully-random" if kind == "tcp_random_fully" else "",
              SPREAD if kind == "dns_one_socket" else "")
        if kind == "dns_one_socket":
            one_socket(world)
        elif kind == "dns":
            containers(world, echo_udp(("0.0.0.0", DNS)), resolve, "the answer")
        else:
            containers(world, hold_tcp((SERVER, WEB)), fetch, "connect()")


main()
