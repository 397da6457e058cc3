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
from servers import echo_udp

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


def client(port):
    def body(parent):
        parent.report(ask(port, b"client"))
    return body


def proxy(port):
    def body(parent):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("0.0.0.0", 8053))
        parent.report("listening")
        question, sender = listener.recvfrom(512)
        listener.sendto(b"cached", sender)
        while True:
            parent.wait()
            answer = ask(port, b"proxy")
            listener.settimeout(0.2)
            try:
                looped = listener.recvfrom(512)[0].decode()
            except TimeoutError:
                looped = None
            parent.report([answer, looped])
    return body


def incident(world, port):
    sidecar = world.start("pod", proxy(port), uid=PROXY_UID, comm="sidecar")
    sidecar.read()
    app = world.start("pod", client(port), uid=1000, comm="app")
    cached = app.read()
    say(f"app, pid {app.pid}: asks {SERVER[0]} from port {port}: {cached!r}")
    return sidecar, {"app_pid": app.pid, "cached": cached, **ask_again(sidecar, port)}


def ask_again(sidecar, port):
    sidecar.proceed()
    answer, looped = sidecar.read()
    say(f"sidecar, pid {sidecar.pid}: asks {SERVER[0]} from port {port}: {answer!r}")
    say(f"sidecar: receives its own question: {looped!r}")
    return {"sidecar_pid": sidecar.pid, "answer": answer, "looped": looped}


def main():
    kind = sys.argv[1]
    with World("pod", "server") as world:
        build(world, NOTRACK if kind == "notrack" else "")
        world.start("server", echo_udp(SERVER, b"answer to ")).read()
        ports = iter(range(PORT, PORT + 100))
        sidecar, result = incident(world, next(ports))

        def again(what):
            """The sidecar's question alone, from the same port, or all from another port."""
            nonlocal sidecar
            if what == "question":
                return ask_again(sidecar, PORT)
            world.end(sidecar)
            sidecar, result = incident(world, next(ports))
            return result

        finish(again, **result, netns=world.inum("pod"), server=SERVER, port=PORT, uid=PROXY_UID)


main()
