#!/usr/bin/env python3
"""
A port that a program wants for itself is taken.

    port_conflicts.py stolen | other_service | held | waiting | free

`stolen`: the range of local ports has a service's port, and an outgoing connection got it. `other_service`:
another service listens on it. `held`: an agent has a connection from port 4000, from which a backup wants to
connect to the same place. `waiting`: such a connection is in TIME_WAIT, without TCP timestamps. `free`: the
same with them, so that the new connection takes its place.
"""
import errno
import socket
import sys

from net import World, finish, say
from servers import hold_tcp

PORT = 10254
RANGE = (PORT, PORT + 7)
RESERVED = "9000-9001"
PEER = ("127.0.0.1", 2379)
OWN_PORT = 4000
CALLS = 3


def result_of(call):
    try:
        call()
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]


def connects(parent):
    """As a client that keeps its connections, until one of them has the port or all ports are used."""
    kept, ports = [], []
    while PORT not in ports and len(ports) <= RANGE[1] - RANGE[0]:
        sock = socket.socket()
        kept.append(sock)
        if result_of(lambda: sock.connect(PEER)) != "ok":
            break
        ports.append(sock.getsockname()[1])
    parent.report(ports)
    parent.wait()


def listens(parent):
    results, kept = [], []
    for _ in range(CALLS):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.append(sock)
        results.append(result_of(lambda: (sock.bind(("0.0.0.0", PORT)), sock.listen())))
        if results[-1] == "ok":
            break
    parent.report(results)
    parent.wait()


def from_own_port(closes_first):
    def body(parent):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", OWN_PORT))
        result = result_of(lambda: sock.connect(PEER))
        if closes_first and result == "ok":
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)
            sock.close()
        parent.report(result)
        parent.wait()
    return body


def close_after_client(parent):
    listener = socket.create_server(PEER)
    parent.report("listening")
    while True:
        sock = listener.accept()[0]
        sock.recv(1)
        sock.close()


def steal(world, kind):
    world.sysctl("box", "net.ipv4.ip_local_port_range", f"{RANGE[0]}\t{RANGE[1]}")
    world.sysctl("box", "net.ipv4.ip_local_reserved_ports", RESERVED)
    world.start("box", hold_tcp(PEER), comm="etcd").read()
    other = hold_tcp(("0.0.0.0", PORT)) if kind == "other_service" else connects
    holder = world.start("box", other, comm="apiserver")
    holder.read()

    def serve():
        service = world.start("box", listens, comm="ingress")
        results = service.read()
        say(f"ingress, pid {service.pid}, port {PORT}: {results}")
        return {"results": results, "pid": service.pid}

    def again():
        """The client is started again, perhaps on the same port, and then the service."""
        world.end(holder)
        ports = world.start("box", connects, comm="apiserver").read()
        return {**serve(), "ports": ports}

    return {**serve(), "holder_pid": holder.pid}, again


def connect_twice(world, kind):
    world.sysctl("box", "net.ipv4.tcp_timestamps", int(kind == "free"))
    server = hold_tcp(PEER) if kind == "held" else close_after_client
    world.start("box", server, comm="etcd").read()
    first = world.start("box", from_own_port(kind != "held"), comm="agent")
    first.read()

    def backup():
        process = world.start("box", from_own_port(False), comm="backup")
        result = process.read()
        say(f"backup, pid {process.pid}, from port {OWN_PORT}: {result}")
        return {"results": [result], "pid": process.pid}

    return {**backup(), "holder_pid": first.pid}, backup


def main():
    kind = sys.argv[1]
    with World("box") as world:
        begin = steal if kind in ("stolen", "other_service") else connect_twice
        played, again = begin(world, kind)
        finish(again, **played, netns=world.inum("box"), port=PORT, own_port=OWN_PORT)


main()
