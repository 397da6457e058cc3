#!/usr/bin/env python3
"""Makes connect() attempts and prints what it did as one line of JSON for each kind.

    connects.py KIND COUNT [KIND COUNT]...

Run it in a network namespace of the test's own; everything goes to loopback.
"""
import errno
import json
import os
import select
import socket
import struct
import sys
import threading

sys.dont_write_bytecode = True
# Some run this file from a program of their own.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from deny_connects import deny_connects  # noqa: E402

IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h
IP_LOCAL_PORT_RANGE = 51
LOOPBACK = "127.0.0.1"
CLOSED_PORT = 1


def attempt(sock, address, keep=None):
    """Connects and tells the errno name and the local address that came of it."""
    try:
        sock.connect(address)
        result = "ok"
    except OSError as error:
        result = errno.errorcode[error.errno]
    local = sock.getsockname()[:2]
    if keep is None:
        sock.close()
    else:
        keep.append(sock)
    return {"result": result, "local": list(local)}


LISTENER_PORT = 4500  # outside every range that the tests set


def listener(family=socket.AF_INET, host=LOOPBACK):
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, LISTENER_PORT))
    sock.listen(4096)
    return sock


def tcp(family=socket.AF_INET):
    return socket.socket(family, socket.SOCK_STREAM)


def udp(family=socket.AF_INET):
    return socket.socket(family, socket.SOCK_DGRAM)


def sharing_udp(family=socket.AF_INET, option=socket.SO_REUSEADDR):
    """One that may have the port of another one like it."""
    sock = udp(family)
    sock.setsockopt(socket.SOL_SOCKET, option, 1)
    return sock


ANSWER_SECONDS = 10


def to_listener(count, prepare, family=socket.AF_INET, host=LOOPBACK, keep=None):
    server = listener(socket.AF_INET6 if host == "::1" else socket.AF_INET, host.replace("::ffff:", ""))
    port = server.getsockname()[1]
    keep, made = [] if keep is None else keep, []
    keep.append(server)
    for index in range(count):
        sock = tcp(family)
        prepare(sock, index)
        made.append(attempt(sock, (host, port), keep))
    return made


def syn_retransmits():
    """The kernel's own count for the namespace (TCPSynRetrans)."""
    with open("/proc/self/net/netstat") as file:
        names, values = [line.split() for line in file if line.startswith("TcpExt:")]
    return int(values[names.index("TCPSynRetrans")])


def nothing(_sock, _index):
    pass


def bind_any_port(sock, _index):
    sock.bind((LOOPBACK, 0))


def bind_address_no_port(sock, _index):
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((LOOPBACK, 0))


def bind_fixed_port(sock, index):
    sock.bind((LOOPBACK, 21000 + index))


def reuse_fixed_port(sock, index):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((LOOPBACK, 22000 + index))


def refused(count):
    return [attempt(tcp(), (LOOPBACK, CLOSED_PORT)) for _ in range(count)]


def no_route(count):
    return [attempt(tcp(), ("192.0.2.1", 80)) for _ in range(count)]


def udp_no_route(count):
    return [attempt(udp(), ("192.0.2.1", 53)) for _ in range(count)]


def udp_ok(count):
    keep = []
    return [attempt(udp(), (LOOPBACK, 47000), keep) for _ in range(count)]


def udp_pair(count):
    """Two sockets on one 4-tuple, `count` times: every second attempt overshadows the first."""
    keep, made = [], []
    for index in range(count):
        for _ in range(2):
            sock = udp()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((LOOPBACK, 23000 + index))
            made.append(attempt(sock, (LOOPBACK, 47000), keep))
    return made


def udp_pair_of_two(count):
    """As udp_pair, but the second socket is another process's."""
    keep, made = [], []
    for index in range(count):
        for by_child in (False, True):
            sock = udp()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((LOOPBACK, 23500 + index))
            if not by_child:
                made.append(attempt(sock, (LOOPBACK, 47000), keep))
            elif os.fork() == 0:
                sock.connect((LOOPBACK, 47000))
                os._exit(0)
            else:
                os.wait()
    return made


def udp_pair_wildcard(count):
    """As udp_pair, bound to a port only."""
    keep, made = [], []
    for index in range(count):
        for _ in range(2):
            sock = udp()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("0.0.0.0", 24000 + index))
            made.append(attempt(sock, (LOOPBACK, 47000), keep))
    return made


def udp_shared(count, bind=None, family=socket.AF_INET, option=socket.SO_REUSEADDR):
    """The kernel chooses the ports of sockets that may share them."""
    host = "::1" if family == socket.AF_INET6 else LOOPBACK
    keep, made = [], []
    for _ in range(count):
        sock = sharing_udp(family, option)
        if bind:
            sock.bind(bind)
        made.append(attempt(sock, (host, 47000), keep))
    return made


def udp_shared_closed(count):
    """Each has the 4-tuple of one that is closed."""
    made = []
    for _ in range(count):
        sock = sharing_udp()
        sock.bind((LOOPBACK, 24500))
        made.append(attempt(sock, (LOOPBACK, 47000)))
    return made


def udp_shared_moved(count):
    """Each takes the 4-tuple that another one had until it connected elsewhere."""
    keep, made = [], []
    for index in range(count):
        sock = sharing_udp()
        sock.bind((LOOPBACK, 24600))
        made.append(attempt(sock, (LOOPBACK, 47000), keep))
        sock.connect((LOOPBACK, 48000 + index))
    return made


def udp_shared_peers(count):
    """One port towards as many peers."""
    keep, made = [], []
    for index in range(count):
        sock = sharing_udp()
        sock.bind((LOOPBACK, 24700))
        made.append(attempt(sock, (LOOPBACK, 49000 + index), keep))
    return made


def udp_shared_again(count):
    """One socket that the kernel gave a port connects to the same peer again and again."""
    sock = sharing_udp()
    return [attempt(sock, (LOOPBACK, 47000), []) for _ in range(count)]


def udp_pair_denied(count):
    """As udp_pair, but the second may not send there: its connect() fails."""
    keep, made = [], []
    for index in range(count):
        for may in (1, 0):
            sock = sharing_udp()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, may)
            sock.bind((LOOPBACK, 24800 + index))
            made.append(attempt(sock, ("127.255.255.255", 47000), keep))
    return made


def attempt_without_waiting(address):
    """The kernel may answer later than it returns: closing before that would cancel the attempt."""
    sock, keep = tcp(), []
    sock.setblocking(False)
    made = attempt(sock, address, keep)
    select.select([], [sock], [], ANSWER_SECONDS)
    sock.close()
    return made


def nonblocking(count):
    server = listener()
    return [attempt_without_waiting(server.getsockname()) for _ in range(count)]


def nonblocking_refused(count):
    return [attempt_without_waiting((LOOPBACK, CLOSED_PORT)) for _ in range(count)]


def with_full_backlog():
    """A listener that drops every further SYN: its accept queue is full."""
    server = socket.socket()
    server.bind((LOOPBACK, 0))
    server.listen(0)
    attempt(tcp(), server.getsockname(), KEEP)
    KEEP.append(server)
    return server.getsockname()


def timeout(count):
    address = with_full_backlog()
    socks = [tcp() for _ in range(count)]
    threads = [threading.Thread(target=attempt, args=(sock, address)) for sock in socks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return []


def canceled(count):
    """Connects that are closed while their SYN is unanswered."""
    address = with_full_backlog()
    made = []
    for _ in range(count):
        sock = tcp()
        sock.setblocking(False)
        made.append(attempt(sock, address))
    return made


def self_connect(count):
    """A socket that connects to its own port: a simultaneous open (RFC 9293, section 3.5)."""
    made = []
    for index in range(count):
        sock = tcp()
        sock.bind((LOOPBACK, 25000 + index))
        made.append(attempt(sock, (LOOPBACK, 25000 + index)))
    return made


def self_connect_chosen(count):
    """Retries until the kernel chooses the port that is connected to."""
    made = []
    while len(made) < count:
        sock = tcp()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        kept = []
        result = attempt(sock, (LOOPBACK, 30004), kept)
        if result["result"] == "ok":
            made.append(result)
        sock.close()
    return made


def reconnect_udp(count):
    """One bound UDP socket connects to the same peer again and again: no conflict with itself."""
    sock = udp()
    sock.bind((LOOPBACK, 26000))
    return [attempt(sock, (LOOPBACK, 47000), []) for _ in range(count)]


def exhausted(count):
    """More connections to one destination than the namespace has local ports."""
    return to_listener(count, nothing)


def udp_exhausted(count):
    keep = []
    return [attempt(udp(), (LOOPBACK, 47000), keep) for _ in range(count)]


def own_range(sock, _index):
    """Two ports of the namespace's."""
    sock.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, 30003 << 16 | 30002)


def udp_own_range(count):
    keep, made = [], []
    for index in range(count):
        sock = udp()
        own_range(sock, index)
        made.append(attempt(sock, (LOOPBACK, 47000), keep))
    return made


def bound_port_taken(count):
    """A fixed port whose 4-tuple is taken: EADDRNOTAVAIL, for another reason than no port."""
    server = listener()
    made = []
    for index in range(count):
        for _ in range(2):
            sock = tcp()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((LOOPBACK, 27000 + index))
            made.append(attempt(sock, server.getsockname(), KEEP))
    return made


def denied(make, count):
    """As a firewall by cgroup has it; the process is in $CGROUP."""
    deny_connects(os.environ["CGROUP"])
    return [attempt(make(), (LOOPBACK, 47000)) for _ in range(count)]


KEEP = []
KINDS = {
    "ok": lambda count: to_listener(count, nothing),
    "ipv6": lambda count: to_listener(count, nothing, socket.AF_INET6, "::1"),
    "v4_mapped": lambda count: to_listener(count, nothing, socket.AF_INET6, "::ffff:127.0.0.1"),
    "bind_before_connect": lambda count: to_listener(count, bind_any_port),
    "bind_address_no_port": lambda count: to_listener(count, bind_address_no_port),
    "bound_port": lambda count: to_listener(count, bind_fixed_port),
    "reuseaddr": lambda count: to_listener(count, reuse_fixed_port),
    "refused": refused,
    "no_route": no_route,
    "udp_no_route": udp_no_route,
    "udp_ok": udp_ok,
    "udp_pair": udp_pair,
    "udp_pair_of_two": udp_pair_of_two,
    "udp_pair_wildcard": udp_pair_wildcard,
    "udp_shared": udp_shared,
    "udp_shared_bind0": lambda count: udp_shared(count, (LOOPBACK, 0)),
    "udp_shared_any": lambda count: udp_shared(count, ("0.0.0.0", 0)),
    "udp_shared_ipv6": lambda count: udp_shared(count, family=socket.AF_INET6),
    "udp_shared_reuseport": lambda count: udp_shared(count, option=socket.SO_REUSEPORT),
    "udp_shared_closed": udp_shared_closed,
    "udp_shared_moved": udp_shared_moved,
    "udp_shared_peers": udp_shared_peers,
    "udp_shared_again": udp_shared_again,
    "udp_pair_denied": udp_pair_denied,
    "nonblocking": nonblocking,
    "nonblocking_refused": nonblocking_refused,
    "timeout": timeout,
    "canceled": canceled,
    "self_connect": self_connect,
    "self_connect_chosen": self_connect_chosen,
    "reconnect_udp": reconnect_udp,
    "exhausted": exhausted,
    "exhausted_held": lambda count: to_listener(count, nothing, keep=KEEP),
    "bind_before_connect_held": lambda count: to_listener(count, bind_any_port, keep=KEEP),
    "bind_address_no_port_held": lambda count: to_listener(count, bind_address_no_port, keep=KEEP),
    "udp_exhausted": udp_exhausted,
    "own_range": lambda count: to_listener(count, own_range),
    "udp_own_range": udp_own_range,
    "bound_port_taken": bound_port_taken,
    "denied": lambda count: denied(tcp, count),
    "udp_denied": lambda count: denied(udp, count),
}


def run(kind, count):
    before = syn_retransmits()
    made = KINDS[kind](count)
    print(json.dumps({
        "pid": os.getpid(),
        "netns": os.stat("/proc/self/ns/net").st_ino,
        "attempts": made,
        "syn_retransmits": syn_retransmits() - before,
    }), flush=True)
    if kind.endswith("_held"):
        sys.stdin.read()  # so that somebody can count the ports in use
    for sock in KEEP:
        sock.close()
    KEEP.clear()


def main():
    args = sys.argv[1:]
    pairs = list(zip(args[::2], args[1::2]))
    if not pairs or len(args) % 2 or not all(kind in KINDS and count.isdigit() for kind, count in pairs):
        sys.exit(f"usage: connects.py KIND COUNT [KIND COUNT]...; kinds: {' '.join(KINDS)}")
    for kind, count in pairs:
        run(kind, int(count))


main()
