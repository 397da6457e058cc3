#!/usr/bin/env python3
"""Incident B3: a NAT rule with four source ports, and a fifth connection to one destination."""
import errno
import socket

from net import World, finish, say
from servers import hold_tcp

SERVER = ("10.9.0.2", 8080)
PORTS = (5000, 5003)
PATIENCE_S = 2.5  # longer than until the SYN is sent again


def connect(parent):
    sock = socket.socket()
    sock.settimeout(PATIENCE_S)
    try:
        sock.connect(SERVER)
        parent.report("ok")
    except OSError as error:
        parent.report("timeout" if error.errno is None else errno.errorcode[error.errno])
    parent.wait()


def build(world):
    world.link("host", "10.8.1.1/24", "box", "10.8.1.2/24")
    world.link("host", "10.9.0.1/24", "server", f"{SERVER[0]}/24")
    world.ip("box", "route add default via 10.8.1.1\n")
    world.sysctl("host", "net.ipv4.ip_forward", 1)
    world.nft("host", f"""table ip t {{ chain post {{ type nat hook postrouting priority srcnat;
        ip daddr {SERVER[0]} tcp dport {SERVER[1]} snat to 10.9.0.1:{PORTS[0]}-{PORTS[1]}; }}
    }}""")


def attempt(world):
    client = world.start("box", connect, comm="box")
    result = client.read()
    say(f"box, pid {client.pid}: connect() to {SERVER[0]}: {result}")
    return {"result": result, "pid": client.pid}


def main():
    with World("host", "box", "server") as world:
        build(world)
        world.start("server", hold_tcp(SERVER)).read()
        taken = [attempt(world)["result"] for _ in range(4)]
        finish(lambda: attempt(world), **attempt(world), taken=taken, host=world.inum("host"))


main()
