#!/usr/bin/env python3
"""Injects segments that a connection must answer with a challenge ACK (RFC 5961).

    challenge.py TRIGGER... (rst, syn, old_ack, new_ack; may be repeated)

Needs a network namespace of its own and root. A loopback connection exchanges a byte each way,
its sequence numbers are read off the wire, and for each trigger one forged segment is sent.
Prints the tuple and the counters of the namespace before and after as one line of JSON.
"""
import json
import os
import socket
import struct
import sys
import time

LOOPBACK = "127.0.0.1"
ETH_P_IP = 0x0800
RST, SYN, ACK = 0x04, 0x02, 0x10
COUNTERS = ("TCPChallengeACK", "TCPSYNChallenge", "TCPACKSkippedChallenge")


def counters():
    with open("/proc/net/netstat") as file:
        lines = [line.split() for line in file if line.startswith("TcpExt:")]
    values = dict(zip(lines[0], lines[1]))
    return {name: int(values[name]) for name in COUNTERS}


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(source_port, target_port, seq, ack, flags):
    header = struct.pack("!HHIIBBHHH", source_port, target_port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags, 1024, 0, 0)
    address = socket.inet_aton(LOOPBACK)
    pseudo = address + address + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(header))
    return header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]


def last_segment(sniffer, source_port):
    """Sequence state of the newest segment that left source_port: (next seq, ack)."""
    newest = None
    while True:
        try:
            frame = sniffer.recv(65536)
        except BlockingIOError:
            return newest
        ip = frame[14:]
        header = (ip[0] & 15) * 4
        tcp = ip[header:]
        if ip[9] != socket.IPPROTO_TCP or struct.unpack("!H", tcp[:2])[0] != source_port:
            continue
        seq, ack = struct.unpack("!II", tcp[4:12])
        payload = struct.unpack("!H", ip[2:4])[0] - header - (tcp[12] >> 4) * 4
        newest = (seq + payload, ack)


def forge(trigger, client_port, server_port, client_next, server_next):
    """A segment that seems to come from the client; the server is challenged."""
    if trigger == "rst":
        return segment(client_port, server_port, client_next + 10, 0, RST)
    if trigger == "syn":
        return segment(client_port, server_port, client_next + 5000000, 0, SYN)
    if trigger == "old_ack":
        return segment(client_port, server_port, client_next, server_next - 1000000, ACK)
    if trigger == "new_ack":
        return segment(client_port, server_port, client_next, server_next + 1000000, ACK)
    sys.exit(f"challenge.py: unknown trigger {trigger}")


def main():
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
    sniffer.bind(("lo", 0))
    sniffer.setblocking(False)
    server = socket.create_server((LOOPBACK, 0))
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    client.sendall(b"a")
    accepted.recv(1)
    accepted.sendall(b"b")
    client.recv(1)
    time.sleep(0.1)
    client_next, server_next = last_segment(sniffer, client.getsockname()[1])
    injector = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    before = counters()
    for trigger in sys.argv[1:]:
        data = forge(trigger, client.getsockname()[1], server.getsockname()[1], client_next, server_next)
        injector.sendto(data, (LOOPBACK, 0))
        time.sleep(0.02)
    time.sleep(0.1)
    after = counters()
    print(json.dumps({
        "pid": os.getpid(),
        "netns": os.stat("/proc/self/ns/net").st_ino,
        "server": list(server.getsockname()),
        "client": list(client.getsockname()),
        "rcv_nxt": client_next & 0xFFFFFFFF,
        "snd_una": server_next & 0xFFFFFFFF,
        "moved": {name: after[name] - before[name] for name in COUNTERS},
    }), flush=True)


main()
