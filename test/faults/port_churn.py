#!/usr/bin/env python3
"""Opens, binds, connects and closes sockets on loopback at random, one step for each line of input.

    port_churn.py SEED

Run it in a network namespace of the test's own. Prints a line once it is ready, and after each step what
was done. Among the steps are those that no counter of the kernel's tells: a listener, a bound socket or
a UDP socket is replaced, a socket of long ago is bound, a UDP socket is connected elsewhere.
"""
import random
import socket
import sys

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
server = socket.create_server((LOOPBACK[socket.AF_INET], 4500))
connections, unbound, bound, listeners, datagrams = [], [], [], [], []


def take(sockets):
    return sockets.pop(random.randrange(len(sockets))) if sockets else None


def connect():
    client = socket.create_connection(server.getsockname())
    connections.append([client, server.accept()[0]])


def close_connection():
    for sock in random.sample(take(connections) or [], k=2) if connections else []:
        sock.close()


def half_close():
    if connections:
        random.choice(connections)[0].shutdown(socket.SHUT_WR)


def make():
    unbound.append(socket.socket())


def bind():
    sock = take(unbound)
    if sock is not None:
        sock.bind((LOOPBACK[socket.AF_INET], 0))
        bound.append(sock)


def close_bound():
    sock = take(bound) or take(unbound)
    if sock is not None:
        sock.close()


def replace_bound():
    if bound:
        close_bound()
        make()
        bind()


def listen():
    listeners.append(socket.create_server((LOOPBACK[socket.AF_INET], 0)))


def replace_listener():
    sock = take(listeners)
    if sock is not None:
        sock.close()
        listen()


def open_datagram():
    sock = socket.socket(random.choice(list(LOOPBACK)), socket.SOCK_DGRAM)
    sock.bind((LOOPBACK[sock.family], 0))
    datagrams.append(sock)


def replace_datagram():
    sock = take(datagrams)
    if sock is not None:
        sock.close()
        open_datagram()


def connect_datagram():
    if datagrams:
        sock = random.choice(datagrams)
        sock.connect((LOOPBACK[sock.family], random.randrange(4600, 4603)))


def nothing():
    pass


STEPS = [connect, close_connection, half_close, make, bind, close_bound, close_bound, replace_bound]
STEPS += [listen, replace_listener, open_datagram, replace_datagram, connect_datagram]
random.seed(int(sys.argv[1]))
print("ready", flush=True)
for _ in sys.stdin:
    step = random.choice([*STEPS, nothing, nothing, nothing])
    step()
    print(step.__name__, flush=True)
