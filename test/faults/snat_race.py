#!/usr/bin/env python3
"""Sends flows that a NAT rule forces onto one tuple, so that conntrack refuses all but the first.

    snat_race.py udp COUNT | tcp COUNT | firewall COUNT

Needs a network namespace of its own, root and nft. Prints what was sent, the errors the senders saw
and how the kernel's counters moved, as one line of JSON.
"""
import errno
import json
import os
import re
import socket
import subprocess
import sys
import time

# With "firewall" a filter drops the flows before they get to the NAT rule, which is not for them.
FIREWALL = "chain out { type filter hook output priority filter; udp dport 5353 drop; };"

RULES = {
    "firewall": "ip daddr 127.0.0.3 udp dport 5353 snat to 127.0.0.1:5000",
    "udp": "ip daddr 127.0.0.2 udp dport 5353 snat to 127.0.0.1:5000",
    "tcp": "ip daddr 127.0.0.2 tcp dport 5354 snat to 127.0.0.1:5000-5003",
}


def nft(text):
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)


def conntrack_counters():
    text = subprocess.run(["conntrack", "-S"], capture_output=True, text=True, check=True).stdout
    names = ("insert_failed", "drop", "clash_resolve", "chaintoolong")
    return {name: sum(map(int, re.findall(rf"\b{name}=(\d+)", text))) for name in names}


def send_udp(count):
    results = []
    for index in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 6001 + index))
        try:
            sock.sendto(b"question", ("127.0.0.2", 5353))
            results.append("ok")
        except OSError as error:
            results.append(errno.errorcode[error.errno])
    return results


def send_tcp(count):
    """Leaves before the first SYN retransmit (1 s), so that each refused connect drops one packet."""
    server = socket.create_server(("127.0.0.2", 5354), backlog=64)
    results = []
    socks = []
    for index in range(count):
        sock = socket.socket()
        sock.bind(("127.0.0.1", 6101 + index))
        sock.settimeout(0.15)
        socks.append(sock)
        try:
            sock.connect(server.getsockname())
            results.append("ok")
        except OSError as error:
            results.append("timeout" if error.errno is None else errno.errorcode[error.errno])
            sock.close()
    return results


def main():
    kind, count = sys.argv[1], int(sys.argv[2])
    nft(f"table ip race {{ chain post {{ type nat hook postrouting priority srcnat; {RULES[kind]}; }}; "
        f"{FIREWALL if kind == 'firewall' else ''} }}")
    before = conntrack_counters()
    results = send_tcp(count) if kind == "tcp" else send_udp(count)
    time.sleep(0.1)
    after = conntrack_counters()
    nft("delete table ip race")
    print(json.dumps({
        "pid": os.getpid(),
        "netns": os.stat("/proc/self/ns/net").st_ino,
        "results": results,
        "moved": {name: after[name] - before[name] for name in before},
    }), flush=True)


main()
