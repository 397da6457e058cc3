#!/usr/bin/env python3
"""Incident E: a released port is taken again while conntrack still has the old flow.

    stale_flow.py redirect | notrack

A pod whose DNS is redirected to a proxy in it, except for what the proxy sends itself. A client
asks from port 40005 and closes. The proxy, which asks the real server for it, is given the same
port: its packets are the old flow's to conntrack, so they are redirected too, to itself. With
`notrack` the proxy's packets have no conntrack entry.
"""
import socket
import sys

from net import World, finish, say

PROXY_UID = 1337
SERVER = ("10.6.0.2", 53)
PORT = 40005
NOTRACK = """chain raw { type filter hook output priority raw;
    meta skuid 1337 udp dport 53 notrack; }
  chain raw_in { type filter hook prerouting priority raw; udp sport 53 notrack; }"""


def build(world, extra):
    world.link("pod", "10.6.0.1/24", "server", "10.6.0.2/24")
    world.nft("pod", f"""table ip sidecar {{ {extra}
        chain out {{ type nat hook output priority -100;
          meta skuid != {PROXY_UID} udp dport 53 redirect to :8053; }}
    }}""")


def serve(parent):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(SERVER)
    parent.report("listening")
    while True:
        question, sender = sock.recvfrom(512)
        sock.sendto(b"answer to " + question, sender)


def ask(port, question):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("10.6.0.1", port))
    sock.settimeout(1)
    sock.sendto(question, SERVER)
    try:
        return sock.recv(512).decode()
    except TimeoutError:
        return None
    finally:
        sock.close()


def client(parent):
    parent.report(ask(PORT, b"client"))


def proxy(parent):
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("0.0.0.0", 8053))
    parent.report("listening")
    question, sender = listener.recvfrom(512)
    listener.sendto(b"cached", sender)
    parent.wait()
    answer = ask(PORT, b"proxy")
    listener.settimeout(0.2)
    try:
        looped = listener.recvfrom(512)[0].decode()
    except TimeoutError:
        looped = None
    parent.report([answer, looped])


def main():
    kind = sys.argv[1]
    with World("pod", "server") as world:
        build(world, NOTRACK if kind == "notrack" else "")
        world.start("server", serve).read()
        sidecar = world.start("pod", proxy, uid=PROXY_UID, comm="sidecar")
        sidecar.read()
        app = world.start("pod", client, uid=1000, comm="app")
        say(f"app, pid {app.pid}: asks {SERVER[0]} from port {PORT}: {app.read()!r}")
        sidecar.proceed()
        answer, looped = sidecar.read()
        say(f"sidecar, pid {sidecar.pid}: asks {SERVER[0]} from port {PORT}: {answer!r}")
        say(f"sidecar: receives its own question: {looped!r}")
        finish(app_pid=app.pid, sidecar_pid=sidecar.pid, answer=answer, looped=looped,
               netns=world.inum("pod"), server=SERVER, port=PORT, uid=PROXY_UID)


main()
