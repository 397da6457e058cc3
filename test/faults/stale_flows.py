#!/usr/bin/env python3
"""Sends UDP datagrams on tuples whose conntrack entries are those of closed sockets, and on others.

    stale_flows.py CASE...

Needs a machine of its own (a guest) and root. Prints one line of JSON for each case. Leaves the
rules as they were.
"""
import ctypes
import json
import os
import socket
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
RULES = """
table inet stale_nat {
  chain output {
    type nat hook output priority -100;
    ip daddr 127.0.0.2 udp dport 1234 dnat ip to 127.0.0.1:8053
    ip6 daddr fd00:8::2 udp dport 1234 dnat ip6 to [fd00:8::1]:8053
    meta nfproto ipv4 udp dport 1253 redirect to :8053
  }
  chain postrouting {
    type nat hook postrouting priority 100;
    ip daddr 127.0.0.3 udp dport 1234 snat ip to 127.0.0.1:7000-7999
  }
}
"""
IPV4, IPV6 = "127.0.0.2", "fd00:8::2"
SERVERS = ("127.0.0.1", 8053), ("fd00:8::1", 8053), ("127.0.0.2", 1253), ("127.0.0.4", 1299)


def run(*command, text=None):
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if done.returncode and "0 flow entries" not in done.stderr:
        sys.exit(f"{command}: {done.stderr}")


def udp(port, address="0.0.0.0", reuse=False):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if port:
        sock.bind((address, port))
    return sock


def once(port, to, bind="0.0.0.0", how="sendto", count=1):
    """A socket's whole life: `count` datagrams from `port`."""
    with udp(port, bind) as sock:
        if how == "connect":
            sock.connect(to)
        if how == "cork":
            sock.setsockopt(socket.IPPROTO_UDP, 1, 1)
        for _ in range(count):
            sock.send(b"x") if how == "connect" else sock.sendto(b"x", to)
        if how == "cork":
            sock.setsockopt(socket.IPPROTO_UDP, 1, 0)


def unconnected():
    once(4001, (IPV4, 1234))
    once(4001, (IPV4, 1234), count=3)


def connected():
    once(4002, (IPV4, 1234), how="connect")
    once(4002, (IPV4, 1234), how="connect", count=3)


def corked():
    once(4003, (IPV4, 1234))
    once(4003, (IPV4, 1234), how="cork", count=2)


def unconnected6():
    once(4004, (IPV6, 1234), "fd00:8::1")
    once(4004, (IPV6, 1234), "fd00:8::1", count=3)


def connected6():
    once(4005, (IPV6, 1234), "fd00:8::1", how="connect")
    once(4005, (IPV6, 1234), "fd00:8::1", how="connect")


def mapped():
    """IPv4 on a socket of IPv6."""
    for _ in range(2):
        once(4006, ("::ffff:" + IPV4, 1234), "::ffff:127.0.0.1")


def autobound():
    """The kernel gives the only port of the range to one socket after the other."""
    path = "/proc/sys/net/ipv4/ip_local_port_range"
    with open(path) as file:
        before = file.read()
    with open(path, "w") as file:
        file.write("4007 4007")
    once(0, (IPV4, 1234))
    once(0, (IPV4, 1234), how="connect")
    with open(path, "w") as file:
        file.write(before)


def redirect():
    """
    The rules have gone since, and the datagram still goes where they sent it. Some rule must need
    conntrack meanwhile: with the last such rule it leaves the namespace (nf_ct_netns_put).
    """
    run("nft", "-f", "-", text="""
        table inet stale_keep {
          chain output { type filter hook output priority 0; ct state new counter; }
        }""")
    once(4008, (IPV4, 1253))
    run("nft", "flush", "table", "inet", "stale_nat")
    once(4008, (IPV4, 1253))
    run("nft", "delete", "table", "inet", "stale_nat")
    run("nft", "-f", "-", text=RULES)
    run("nft", "delete", "table", "inet", "stale_keep")


def snat():
    for _ in range(2):
        once(4009, ("127.0.0.3", 1234))


def plain():
    """Without NAT."""
    for _ in range(2):
        once(4010, ("127.0.0.4", 1299))


def seven():
    for _ in range(8):
        once(4011, (IPV4, 1234), count=2)


def deleted():
    """The entry is deleted before the next socket comes."""
    once(4021, (IPV4, 1234))
    run("conntrack", "-D", "-p", "udp", "--orig-port-src", "4021")
    once(4021, (IPV4, 1234))


def expired():
    """Its time is over, whether or not it has been collected."""
    timeout = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout"
    with open(timeout) as file:
        before = file.read()
    with open(timeout, "w") as file:
        file.write("1")
    once(4022, ("127.0.0.3", 1234))
    time.sleep(1.5)
    once(4022, ("127.0.0.3", 1234))
    with open(timeout, "w") as file:
        file.write(before)


def same_socket():
    """One that connects, connects again, goes on unconnected, and is used by a child as well."""
    with udp(4023) as sock:
        sock.connect((IPV4, 1234))
        sock.send(b"x")
        sock.connect((IPV4, 1234))
        sock.send(b"x")
        pid = os.fork()
        if pid == 0:
            sock.send(b"x")
            os._exit(0)
        os.waitpid(pid, 0)
        sock.send(b"x")


def siblings():
    """Two that share the port, also when the first is gone."""
    first, second = udp(4024, reuse=True), udp(4024, reuse=True)
    for sock in (first, second, first, second):
        sock.sendto(b"x", (IPV4, 1234))
    first.close()
    second.sendto(b"x", (IPV4, 1234))
    second.close()


def other_tuples():
    once(4025, (IPV4, 1234))
    once(4025, ("127.0.0.4", 1299))
    once(4026, (IPV4, 1234))


def server():
    """It answers on its own port: that is the other direction of the client's entry."""
    for _ in range(2):
        with udp(1298, "127.0.0.4") as listener, udp(4027) as client:
            client.sendto(b"x", ("127.0.0.4", 1298))
            data, address = listener.recvfrom(16)
            listener.sendto(data, address)
        run("conntrack", "-D", "-p", "udp", "--orig-port-src", "4027")


def untracked():
    """No entry at all."""
    run("nft", "-f", "-", text="""
        table inet stale_raw {
          chain output { type filter hook output priority -300; udp sport 4028 notrack; }
        }""")
    for _ in range(2):
        once(4028, ("127.0.0.4", 1299))
    run("nft", "delete", "table", "inet", "stale_raw")


def exempt():
    """There is an entry, but the rules let the new socket's datagrams pass by it."""
    once(4030, (IPV4, 1234))
    time.sleep(0.05)
    run("nft", "-f", "-", text="""
        table inet stale_raw {
          chain output { type filter hook output priority -300; udp sport 4030 notrack; }
        }""")
    once(4030, (IPV4, 1234))
    run("nft", "delete", "table", "inet", "stale_raw")


def other_namespace():
    """The same tuple, but another network's."""
    once(4029, ("127.0.0.4", 1299))
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).unshare(CLONE_NEWNET)
        run("ip", "link", "set", "lo", "up")
        once(4029, ("127.0.0.4", 1299))
        os._exit(0)
    os.waitpid(pid, 0)


def main():
    run("ip", "-batch", "-", text="addr replace fd00:8::1/128 dev lo\naddr replace fd00:8::2/128 dev lo\n")
    run("conntrack", "-F")
    run("nft", "-f", "-", text=RULES)
    servers = [udp(port, address) for address, port in SERVERS]
    time.sleep(0.1)
    for name in sys.argv[1:]:
        globals()[name]()
        print(json.dumps({"case": name, "pid": os.getpid()}), flush=True)
    run("nft", "delete", "table", "inet", "stale_nat")
    for sock in servers:
        sock.close()


main()
