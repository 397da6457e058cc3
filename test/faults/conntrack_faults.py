#!/usr/bin/env python3
"""Makes conntrack refuse packets for each reason it has. For a machine of its own: a guest.

    conntrack_faults.py FAULT...

Prints one line of JSON for each fault: who sent, what the senders saw and how the kernel's counters
moved. Leaves the rules and sysctls as they were.
"""
import ctypes
import errno
import json
import os
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time

CLONE_NEWNET = 0x40000000
ICMP_ECHO = 8
LIBC = ctypes.CDLL(None, use_errno=True)
SYSCTL = "/proc/sys/net/netfilter/nf_conntrack_"


def run(*command, text=None):
    return subprocess.run(command, input=text, text=True, check=True, capture_output=True).stdout


def counters():
    names = ("insert_failed", "drop", "clash_resolve", "chaintoolong", "early_drop")
    text = run("conntrack", "-S")
    return {name: sum(map(int, re.findall(rf"\b{name}=(\d+)", text))) for name in names}


def sysctl(name, value):
    with open(SYSCTL + name, "r+") as file:
        before = file.read().strip()
        file.seek(0)
        file.write(str(value))
    return before


def attempt(send):
    try:
        send()
        return "ok"
    except OSError as error:
        return "timeout" if error.errno is None else errno.errorcode[error.errno]


def udp(port, address="127.0.0.1"):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock


def snat_udp():
    """The first takes the only port; the other two have none."""
    socks = [udp(port) for port in (6001, 6002, 6003)]
    return [attempt(lambda: sock.sendto(b"question", ("127.0.0.2", 5353))) for sock in socks]


def snat_udp6():
    socks = [udp(port, "fd00:7::1") for port in (6001, 6002, 6003)]
    return [attempt(lambda: sock.sendto(b"question", ("fd00:7::2", 5353))) for sock in socks]


def total_retransmits(sock):
    """tcpi_total_retrans of include/uapi/linux/tcp.h."""
    return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0]


def snat_tcp():
    """The fifth has no port and goes away as soon as it has sent its SYN again."""
    server = socket.create_server(("127.0.0.2", 5354), backlog=64)
    results, socks = [], []
    for index in range(5):
        sock = socket.socket()
        # Closed by a reset: the next run needs the port before a TIME_WAIT would be over.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.bind(("127.0.0.1", 6101 + index))
        socks.append(sock)
        if index < 4:
            results.append(attempt(lambda: sock.connect(server.getsockname())))
    sock.setblocking(False)
    sock.connect_ex(server.getsockname())
    while total_retransmits(sock) == 0:
        time.sleep(0.01)
    return [*results, "closed"]


def echo_request(identifier):
    body = struct.pack("!HH", identifier, 1)
    checksum = 0xFFFF - sum(struct.unpack("!3H", struct.pack("!BB", ICMP_ECHO, 0) + body)) % 0xFFFF
    return struct.pack("!BBH", ICMP_ECHO, 0, checksum) + body


def snat_icmp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    pings = (echo_request(identifier) for identifier in (71, 72, 73))
    return [attempt(lambda: sock.sendto(ping, ("127.0.0.2", 0))) for ping in pings]


def firewall():
    """Dropped before the confirm step: no concern of conntrack's."""
    return [attempt(lambda: udp(port).sendto(b"x", ("127.0.0.2", 9999))) for port in (6301, 6302)]


def race(port):
    """
    Two threads send on one socket, and the rules between take longer than both need to begin. Each
    has a CPU of its own: a kernel that does not preempt would let one finish before the other.
    """
    before, results = counters(), []
    cpus = sorted(os.sched_getaffinity(0))[:2]
    for index in range(100):
        sock = udp(port + 100 + index)
        barrier = threading.Barrier(2)

        def send(cpu):
            os.sched_setaffinity(0, {cpu})  # of this thread
            barrier.wait()
            results.append(attempt(lambda: sock.sendto(b"x", ("127.0.0.2", port))))

        threads = [threading.Thread(target=send, args=(cpu,)) for cpu in cpus]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if difference(before)["clash_resolve"] >= 2:
            break
    return results


def merged():
    return race(7101)


def kept_beside():
    return race(7301)


def dying():
    """
    The end of a connection helper condemns all entries that are not confirmed yet, until 5.19
    (8a75a2c17410); the rules between take long enough for one to be there. Each datagram has a port
    of its own: one that was refused before would be a retry.
    """
    before, results, ended = counters(), [], threading.Event()

    def send():
        while not ended.is_set():
            with udp(10000 + len(results) % 50000) as sock:
                results.append(attempt(lambda: sock.sendto(b"x", ("127.0.0.2", 7201))))

    sender = threading.Thread(target=send)
    sender.start()
    for _ in range(100):
        run("modprobe", "nf_conntrack_ftp")
        run("modprobe", "-r", "nf_conntrack_ftp")
        if difference(before)["insert_failed"]:
            break
    ended.set()
    sender.join()
    return [result for result in results if result != "ok"]


def chain_too_long():
    """One flow for each address, until 40 do not fit into the few chains."""
    buckets, limit = sysctl("buckets", 512), sysctl("max", 1000000)
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sink.bind(("0.0.0.0", 7007))
    source = udp(6401)
    refused = sent = 0
    while refused < 40 and sent < 40000:
        sent += 1
        address = f"127.3.{sent >> 8}.{sent & 255}"
        refused += attempt(lambda: source.sendto(b"x", (address, 7007))) == "EPERM"
    sysctl("buckets", buckets)
    sysctl("max", limit)
    return ["EPERM"] * refused


def retries():
    """Flows that are refused and accepted when their port has become free: 6 of UDP, one of TCP."""
    free_udp = ("conntrack", "-D", "-p", "udp", "--orig-port-dst", "5356")
    attempt(lambda: udp(6600).sendto(b"x", ("127.0.0.2", 5356)))
    socks = [udp(6601 + index) for index in range(6)]
    results = []
    for sock, tries in zip(socks, (3, 1, 1, 1, 1, 1)):
        for _ in range(tries):
            results.append(attempt(lambda: sock.sendto(b"x", ("127.0.0.2", 5356))))
    for sock in socks:
        run(*free_udp)
        for _ in range(2):
            results.append(attempt(lambda: sock.sendto(b"x", ("127.0.0.2", 5356))))
    return results + [retried_connect()]


def retried_connect():
    """The first connection has the only port; the second gets it before its SYN is sent again."""
    server = socket.create_server(("127.0.0.2", 5357))
    first, second = socket.socket(), socket.socket()
    first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    second.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    first.bind(("127.0.0.1", 6701))
    second.bind(("127.0.0.1", 6702))
    first.connect(server.getsockname())
    second.setblocking(False)
    attempt(lambda: second.connect(server.getsockname()))
    first.close()
    run("conntrack", "-D", "-p", "tcp", "--orig-port-dst", "5357")
    return "ok" if select.select([], [second], [], 8)[1] else "timeout"


def table_full():
    run("conntrack", "-F")
    limit = sysctl("max", 5)
    sock = udp(6501)
    results = [attempt(lambda: sock.sendto(b"x", ("127.0.0.2", 7500 + i))) for i in range(12)]
    sysctl("max", limit)
    return results


def in_netns(name, send):
    """In a child of its own, as a container's process would be. Returns its pid and result."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with open(f"/run/netns/{name}") as netns:
            LIBC.setns(netns.fileno(), CLONE_NEWNET)
        os.write(writer, attempt(send).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return pid, os.read(reader, 64).decode()


def make_containers():
    run("ip", "-batch", "-", text="netns add c1\nnetns add c2\nnetns add c3\n")
    for number in (1, 2, 3):
        run("ip", "-batch", "-", text=f"""
            link add h{number} type veth peer name eth0 netns c{number}
            addr add 10.77.{number}.1/24 dev h{number}
            link set h{number} up""")
        run("ip", "-n", f"c{number}", "-batch", "-", text=f"""
            link set lo up
            addr add 10.77.{number}.2/24 dev eth0
            link set eth0 up
            route add default via 10.77.{number}.1""")
    with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
        file.write("1")


def containers():
    """Two containers are forced onto one port of the machine that forwards for them."""
    make_containers()
    before = counters()

    def send():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("0.0.0.0", 6001))
        sock.sendto(b"question", ("10.77.3.2", 5355))

    senders = [in_netns(name, send) for name in ("c1", "c2")]
    time.sleep(0.2)
    inums = [os.stat(f"/run/netns/{name}").st_ino for name in ("c1", "c2")]
    moved = difference(before)
    for name in ("c1", "c2", "c3"):
        run("ip", "netns", "delete", name)
    return {"senders": [pid for pid, _ in senders], "inums": inums, "moved": moved,
            "results": [result for _, result in senders]}


TWIN_RULES = """
table ip twins {
  chain post {
    type nat hook postrouting priority 100;
    ip daddr 127.0.0.2 udp dport 5358 snat to 127.0.0.1:5000
  }
}
"""


class Twin:
    """A process in a namespace of its own, which sends from port 6001, later from 6002."""

    def __init__(self, name, prepare, *destinations):
        ready, self.ready = os.pipe()
        results, written = os.pipe()
        self.results = results
        self.inum = os.stat(f"/run/netns/{name}").st_ino
        self.pid = os.fork()
        if self.pid == 0:
            with open(f"/run/netns/{name}") as netns:
                LIBC.setns(netns.fileno(), CLONE_NEWNET)
            prepare()
            socks = [udp(port, "0.0.0.0") for port in (6001, 6002)]
            for sock in socks:
                os.read(ready, 1)
                done = [attempt(lambda to=to: sock.sendto(b"x", to)) for to in destinations]
                os.write(written, (" ".join(done) + "\n").encode())
            os._exit(0)

    def send(self):
        os.write(self.ready, b"x")
        return os.read(self.results, 256).decode().split()

    def end(self):
        os.waitpid(self.pid, 0)


def twins():
    """Two namespaces have the same addresses, ports and rules. In each the second flow loses."""
    run("ip", "-batch", "-", text="netns add t1\nnetns add t2\n")

    def prepare():
        run("ip", "link", "set", "lo", "up")
        run("nft", "-f", "-", text=TWIN_RULES)

    pair = [Twin(name, prepare, ("127.0.0.2", 5358)) for name in ("t1", "t2")]
    results = [sent for _ in range(2) for twin in pair for sent in twin.send()]
    return told(pair, results, results.count("EPERM"))


def zones():
    """
    Two namespaces have the same address and are told apart by zone on the machine between. With a
    zone for both directions each has a tuple of its own, and its second flow loses; with a zone for
    the senders' direction only they share what NAT makes of it, and three lose to the first.
    """
    run("ip", "-batch", "-", text="netns add t1\nnetns add t2\nnetns add t3\n")
    for number, address in ((1, "10.79.0"), (2, "10.79.0"), (3, "10.79.9")):
        run("ip", "-batch", "-", text=f"""
            link add z{number} type veth peer name eth0 netns t{number}
            addr add {address}.1/24 dev z{number}
            link set z{number} up""")
        run("ip", "-n", f"t{number}", "-batch", "-", text=f"""
            link set lo up
            addr add {address}.2/24 dev eth0
            link set eth0 up
            route add default via {address}.1""")
    for path in ("ip_forward", "conf/all/rp_filter", "conf/z1/rp_filter", "conf/z2/rp_filter"):
        with open(f"/proc/sys/net/ipv4/{path}", "w") as file:
            file.write("1" if path == "ip_forward" else "0")
    before = counters()
    pair = [Twin(name, lambda: None, ("10.79.9.2", 5359), ("10.79.9.2", 5360))
            for name in ("t1", "t2")]
    results = [sent for _ in range(2) for twin in pair for sent in twin.send()]
    time.sleep(0.2)
    report = told(pair, results, difference(before)["insert_failed"])
    run("ip", "netns", "delete", "t3")
    return report


def told(pair, results, refused):
    for twin in pair:
        twin.end()
    for name in ("t1", "t2"):
        run("ip", "netns", "delete", name)
    return {"senders": [twin.pid for twin in pair], "inums": [twin.inum for twin in pair],
            "moved": {"insert_failed": refused}, "results": results}


RULES = """
table inet faults {
  chain s1 { %s }
  chain s2 { %s }
  chain out {
    type filter hook output priority 50;
    udp dport 9999 drop
    udp dport { 7101, 7201, 7301, 9001, 9002 } jump s1
  }
  chain zones {
    type filter hook prerouting priority -300;
    iifname z1 udp dport 5359 ct zone set 1
    iifname z2 udp dport 5359 ct zone set 2
    iifname z1 udp dport 5360 ct original zone set 1
    iifname z2 udp dport 5360 ct original zone set 2
  }
}
table ip faults_nat {
  chain out {
    type nat hook output priority -100;
    udp dport 7301 dnat to 127.0.0.1 : numgen inc mod 2 map { 0 : 9001, 1 : 9002 }
  }
  chain post {
    type nat hook postrouting priority 100;
    ip daddr 127.0.0.2 udp dport 5353 snat to 127.0.0.1:5000
    ip daddr 127.0.0.2 tcp dport 5354 snat to 127.0.0.1:5000-5003
    ip daddr 127.0.0.2 udp dport 5356 snat to 127.0.0.1:5100
    ip daddr 127.0.0.2 tcp dport 5357 snat to 127.0.0.1:5200
    ip daddr 127.0.0.2 icmp type echo-request snat to 127.0.0.1:5000
    ip daddr 10.77.3.2 udp dport 5355 snat to 10.77.3.1:5000
    ip daddr 10.79.9.2 udp dport { 5359, 5360 } snat to 10.79.9.1:5000
  }
}
table ip6 faults_nat {
  chain post {
    type nat hook postrouting priority 100;
    ip6 daddr fd00:7::2 udp dport 5353 snat to [fd00:7::1]:5000
  }
}
""" % ("jump s2; " * 100, "ip daddr 255.1.1.1 counter; " * 200)


def difference(before):
    after = counters()
    return {name: after[name] - before[name] for name in before}


def main():
    run("nft", "-f", "-", text=RULES)
    run("ip", "-batch", "-", text="""
        addr replace fd00:7::1/128 dev lo
        addr replace fd00:7::2/128 dev lo""")
    time.sleep(0.1)
    for name in sys.argv[1:]:
        before, start = counters(), time.monotonic()
        done = globals()[name]()
        report = done if isinstance(done, dict) else {"results": done, "moved": difference(before)}
        seconds = round(time.monotonic() - start, 1)
        print(json.dumps({"fault": name, "pid": os.getpid(), "seconds": seconds, **report}), flush=True)
    run("nft", "-f", "-", text="""
        delete table inet faults
        delete table ip faults_nat
        delete table ip6 faults_nat""")
    run("conntrack", "-F")


main()
