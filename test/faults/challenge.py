#!/usr/bin/env python3
"""Injects segments that connections must answer with a challenge ACK (RFC 5961).

    challenge.py STEP...

Needs a network namespace of its own and root. Each step is one of

    NAME=VALUE      a sysctl below net.ipv4, from here on
    [WHAT:]TRIGGERS a new connection and forged segments that its server gets; TRIGGERS are rst,
                    syn, old_syn (its timestamp is too old), old_ack, new_ack, joined by "+",
                    or empty
    hold=SECONDS    wait, with all connections as they are

where WHAT says what else happens to the connection:

    vanish          before the segments its client is gone without a word, so that the kernel
                    answers the challenge ACK with a reset (default: it stays open)
    close           after them it is closed in good order
    reset           after them the client resets it as RFC 9293 asks
    half_open       it stays half open: the server defers the accept until there are data
    idle            before them nothing happens for a second
    half_closed     before the segments its client says that it sends no more: CLOSE_WAIT
    ipv6            it is one of IPv6, and stays open

Prints one line of JSON: a list with an object for each connection, that is its tuple, its sequence
numbers, the seconds from its last data to each forged segment, and by how much the counters of the
namespace moved meanwhile.
"""
import json
import os
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
import segments  # noqa: E402

LOOPBACK, LOOPBACK6 = "127.0.0.1", "::1"
COUNTERS = ("TCPChallengeACK", "TCPSYNChallenge", "TCPACKSkippedChallenge", "PAWSEstab")
ENDS = ("close", "half_closed", "half_open", "idle", "ipv6", "reset", "vanish")

TCP_REPAIR = 19


def counters():
    with open("/proc/net/netstat") as file:
        lines = [line.split() for line in file if line.startswith("TcpExt:")]
    values = dict(zip(lines[0], lines[1]))
    return {name: int(values[name]) for name in COUNTERS}


class Connection:
    """A connection over loopback, both ends in this process."""

    def __init__(self, wire, half_open):
        self.listener = socket.create_server((wire.address, 0), family=wire.family)
        if half_open:
            self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
        self.client = socket.create_connection(self.listener.getsockname()[:2])
        # The client's last acknowledgement comes between these two, or a little later.
        self.busy_since = time.monotonic()
        self.accepted = None if half_open else self.exchange()
        self.quiet_since = time.monotonic()
        self.server_address = self.listener.getsockname()[:2]
        self.client_address = self.client.getsockname()[:2]
        newest = wire.state_of(self.client_address[1])
        self.client_next, self.server_next, self.client_timestamp = newest

    def exchange(self):
        accepted, _ = self.listener.accept()
        self.client.sendall(b"a")
        accepted.recv(1)
        accepted.sendall(b"b")
        self.client.recv(1)
        return accepted

    def vanish(self):
        self.client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        self.client.close()

    def half_close(self):
        self.client.shutdown(socket.SHUT_WR)
        self.accepted.recv(1)
        self.client_next += 1  # the FIN

    def close(self):
        self.accepted.close()
        self.client.close()

    def reset(self):
        linger = struct.pack("ii", 1, 0)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.client.close()


def run(step, wires):
    end, _, triggers = step.rpartition(":")
    wire = wires[1 if end == "ipv6" else 0]
    if end and end not in ENDS:
        sys.exit(f"challenge.py: unknown step {step}")
    before = counters()
    connection = Connection(wire, end == "half_open")
    if end == "vanish":
        connection.vanish()
    if end == "idle":
        time.sleep(1)
    if end == "half_closed":
        connection.half_close()
    idle = []
    for trigger in filter(None, triggers.split("+")):
        at_least = time.monotonic() - connection.quiet_since
        wire.inject(trigger, connection)
        idle.append([at_least, time.monotonic() - connection.busy_since])
        time.sleep(0.02)
    time.sleep(0.05)
    if end == "close":
        connection.close()
    if end == "reset":
        connection.reset()
    after = counters()
    return connection, {
        "pid": os.getpid(),
        "netns": os.stat("/proc/self/ns/net").st_ino,
        "server": list(connection.server_address),
        "client": list(connection.client_address),
        "rcv_nxt": connection.client_next,
        "snd_una": connection.server_next,
        "idle": idle,
        "moved": {name: after[name] - before[name] for name in COUNTERS},
    }


def main():
    wires = [segments.Wire(address) for address in (LOOPBACK, LOOPBACK6)]
    kept, results = [], []
    for step in sys.argv[1:]:
        name, is_setting, value = step.partition("=")
        if name == "hold":
            time.sleep(float(value))
        elif is_setting:
            with open(f"/proc/sys/net/ipv4/{name}", "w") as file:
                file.write(value)
        else:
            connection, result = run(step, wires)
            kept.append(connection)
            results.append(result)
    print(json.dumps(results), flush=True)


main()
