#!/usr/bin/env python3
"""Incident A: a second SYN lands on an established 4-tuple.

One client opens two connections from source port 47442, to two front ends. Its two paths lead
through translators that share one address and keep the source port, and the front ends preserve the
client's address: at the proxy behind them both connections are the same 4-tuple. As load balancers
do, the proxy's network returns packets through the front end that the flow last came from; so the
challenge ACK reaches the second socket, which answers with the reset that ends the first.
"""
import socket

from net import World, finish, say

PORT = 47442
SHARED = "192.0.2.1"
PROXY = ("10.3.0.10", 443)
FRONT_ENDS = ("198.51.100.1", "198.51.100.2")


def build(world):
    world.ip("proxy", f"addr add {PROXY[0]}/32 dev lo\n")
    for number in (1, 2):
        path(world, number, f"nat{number}", f"front{number}")
    world.ip("proxy", "route add default via 10.3.1.1\n")
    world.nft("proxy", """
        table ip steer {
          chain in { type filter hook prerouting priority mangle;
            iifname "front1" ct mark set 1
            iifname "front2" ct mark set 2; }
          chain out { type route hook output priority mangle; meta mark set ct mark; }
        }""")


def path(world, number, nat, front):
    address = FRONT_ENDS[number - 1]
    world.link("client", f"10.1.{number}.2/24", nat, f"10.1.{number}.1/24")
    world.link(nat, f"10.2.{number}.1/24", front, f"10.2.{number}.2/24")
    world.link(front, f"10.3.{number}.1/24", "proxy", f"10.3.{number}.2/24")
    for name in (nat, front):
        world.sysctl(name, "net.ipv4.ip_forward", 1)
    world.ip("client", f"route add {address} via 10.1.{number}.1\n")
    world.ip(nat, f"route add {address} via 10.2.{number}.2\n")
    world.ip(front, f"""addr add {address}/32 dev lo
        route add {PROXY[0]} via 10.3.{number}.2
        route add {SHARED} via 10.2.{number}.1\n""")
    world.ip("proxy", f"route add default via 10.3.{number}.1 table {100 + number}\n"
                      f"rule add fwmark {number} lookup {100 + number}\n")
    world.nft(nat, f"""table ip t {{ chain post {{ type nat hook postrouting priority srcnat;
        ip daddr {address} snat to {SHARED}; }}
    }}""")
    world.nft(front, f"""table ip t {{ chain pre {{ type nat hook prerouting priority dstnat;
        ip daddr {address} tcp dport 443 dnat to {PROXY[0]}; }}
    }}""")
    # A reset for a connection that only the far side knows is outside of the window they track.
    for name in (nat, front):
        world.sysctl(name, "net.netfilter.nf_conntrack_tcp_be_liberal", 1)


def serve(parent):
    listener = socket.create_server(PROXY)
    parent.report("listening")
    connections = [listener.accept()[0]]
    connections[0].sendall(connections[0].recv(100))
    try:
        connections[0].recv(100)
        parent.report("closed")
    except ConnectionResetError:
        parent.report("reset")
    connections.append(listener.accept()[0])
    parent.report("accepted again")
    connections[1].recv(100)


def connect(number, port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((f"10.1.{number}.2", port))
    sock.connect((FRONT_ENDS[number - 1], 443))
    return sock


def ask(port):
    def body(parent):
        first = connect(1, port)
        first.sendall(b"question")
        parent.report(first.recv(100).decode())
        second = connect(2, port)
        parent.report("connected")
        first.close()
        second.close()
    return body


def collide(world, port):
    server = world.start("proxy", serve, comm="proxy")
    server.read()
    say(f"client: port {port} to {FRONT_ENDS[0]}, which is {SHARED}:{port} at the proxy")
    client = world.start("client", ask(port), comm="client")
    client.read()
    say(f"client: port {port} to {FRONT_ENDS[1]}: the same tuple at the proxy")
    fate = server.read()
    say(f"proxy: the established connection is {fate}")
    server.read()
    client.read()
    say("client: the second connection is up")
    return {"fate": fate, "pid": server.pid, "client_pid": client.pid}


def main():
    with World("client", "nat1", "nat2", "front1", "front2", "proxy") as world:
        build(world)
        ports = iter(range(PORT, PORT + 100))
        first = collide(world, next(ports))
        finish(lambda: collide(world, next(ports)), **first, netns=world.inum("proxy"), local=PROXY,
               peer=[SHARED, PORT], gateways=[world.full("nat1"), world.full("nat2")])


main()
