"""Holds packets between NAT and the conntrack confirm step, then lets them go together.

Two packets that are between those steps at the same moment are the race; on a busy machine that
takes microseconds and luck, here it takes an nftables rule `queue num N`. The packets, the rules
and the race in the kernel are real.

nfnetlink_queue's messages: include/uapi/linux/netfilter/nfnetlink_queue.h.
"""
import socket
import struct

NETLINK_NETFILTER = 12
NFNL_SUBSYS_QUEUE = 3
MSG_PACKET, MSG_VERDICT, MSG_CONFIG = 0, 1, 2
CFG_CMD, CFG_PARAMS = 1, 2
CMD_BIND = 1
COPY_META = 1
ATTR_PACKET_HDR, ATTR_VERDICT_HDR = 1, 2
NF_ACCEPT = 1
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR = 2


class Holder:
    """In the namespace of the thread that makes it."""

    def __init__(self, queue):
        self.queue = queue
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        self._configure(CFG_CMD, struct.pack("!BxH", CMD_BIND, 0))
        self._configure(CFG_PARAMS, struct.pack("!IB", 0, COPY_META))

    def _send(self, message, attribute, value, flags=0):
        length = 4 + len(value)
        body = struct.pack("BBH", 0, 0, socket.htons(self.queue))
        body += struct.pack("HH", length, attribute) + value + b"\0" * (-length % 4)
        header = struct.pack("IHHII", 16 + len(body), NFNL_SUBSYS_QUEUE << 8 | message,
                             NLM_F_REQUEST | flags, 0, 0)
        self.socket.send(header + body)

    def _configure(self, attribute, value):
        self._send(MSG_CONFIG, attribute, value, NLM_F_ACK)
        reply = self.socket.recv(65536)
        if struct.unpack_from("H", reply, 4)[0] == NLMSG_ERROR:
            error = -struct.unpack_from("i", reply, 16)[0]
            if error:
                raise OSError(error, f"bind packet queue {self.queue}")

    def receive(self):
        """Ids of the packets that one message brings."""
        reply = self.socket.recv(65536)
        at, ids = 20, []
        while at + 4 <= len(reply):
            length, kind = struct.unpack_from("HH", reply, at)
            if kind & 0x3FFF == ATTR_PACKET_HDR:
                ids.append(struct.unpack_from("!I", reply, at + 4)[0])
            at += (length + 3) & ~3
        return ids

    def accept(self, packet):
        self._send(MSG_VERDICT, ATTR_VERDICT_HDR, struct.pack("!II", NF_ACCEPT, packet))

    def release_in_groups(self, groups):
        """Waits for as many packets as each group says, then lets that group go."""
        for count in groups:
            held = []
            while len(held) < count:
                held += self.receive()
            for packet in held:
                self.accept(packet)

    def release_all(self):
        """Lets every packet go at once, for ever."""
        while True:
            for packet in self.receive():
                self.accept(packet)
