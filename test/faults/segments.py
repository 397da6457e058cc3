"""Sequence numbers read off the loopback wire, and forged TCP segments put onto it."""
import socket
import struct
import sys

ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
ETHERNET_BYTES = 14
IPV6_BYTES = 40
RST, SYN, ACK = 0x04, 0x02, 0x10
BEYOND = 5000000  # of the receive window
FAR = 1000000  # from what was sent, either way
OLDER = 1000000  # than the newest timestamp
TIMESTAMPS = b"\x01\x01\x08\x0a"  # RFC 7323: two NOPs, kind, length; two values follow


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def timestamp_of(tcp):
    """The sender's, of a segment that has that option alone, as all have but SYNs."""
    options = tcp[20:(tcp[12] >> 4) * 4]
    return struct.unpack("!I", options[4:8])[0] if options.startswith(TIMESTAMPS) else None


class Wire:
    """The loopback interface of this network namespace, for one family of addresses."""

    def __init__(self, address):
        self.address = address
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        ethertype = ETH_P_IP if self.family == socket.AF_INET else ETH_P_IPV6
        self.sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype))
        self.sniffer.bind(("lo", 0))
        self.sniffer.settimeout(0.1)
        self.injector = socket.socket(self.family, socket.SOCK_RAW, socket.IPPROTO_TCP)

    def state_of(self, source_port):
        """Of the newest segment that left a port: next sequence number, acknowledged, timestamp."""
        newest = None
        while True:
            try:
                frame = self.sniffer.recv(65536)
            except TimeoutError:
                return newest
            protocol, tcp = self.unwrap(frame[ETHERNET_BYTES:])
            if protocol != socket.IPPROTO_TCP or struct.unpack("!H", tcp[:2])[0] != source_port:
                continue
            seq, ack = struct.unpack("!II", tcp[4:12])
            payload = len(tcp) - (tcp[12] >> 4) * 4
            payload += 1 if tcp[13] & SYN else 0
            newest = ((seq + payload) & 0xFFFFFFFF, ack, timestamp_of(tcp))

    def unwrap(self, ip):
        """The protocol of an IP packet and its payload."""
        if self.family == socket.AF_INET6:
            length, protocol = struct.unpack("!HB", ip[4:7])
            return protocol, ip[IPV6_BYTES:IPV6_BYTES + length]
        return ip[9], ip[(ip[0] & 15) * 4:struct.unpack("!H", ip[2:4])[0]]

    def inject(self, trigger, connection):
        """A segment that seems to come from the client, for which the server challenges it."""
        client_next, server_next = connection.client_next, connection.server_next
        kinds = {
            "rst": (client_next + 10, 0, RST),
            "syn": (client_next + BEYOND, 0, SYN),
            "old_ack": (client_next, server_next - FAR, ACK),
            "new_ack": (client_next, server_next + FAR, ACK),
            "old_syn": (client_next + BEYOND, 0, SYN, connection.client_timestamp - OLDER),
        }
        if trigger not in kinds:
            sys.exit(f"challenge.py: unknown trigger {trigger}")
        ports = connection.client_address[1], connection.server_address[1]
        self.injector.sendto(self.segment(*ports, *kinds[trigger]), (self.address, 0))

    def segment(self, source_port, target_port, seq, ack, flags, timestamp=None):
        options = b""
        if timestamp is not None:
            options = TIMESTAMPS + struct.pack("!II", timestamp & 0xFFFFFFFF, 0)
        fields = source_port, target_port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF
        words = 5 + len(options) // 4
        header = struct.pack("!HHIIBBHHH", *fields, words << 4, flags, 1024, 0, 0) + options
        address = socket.inet_pton(self.family, self.address)
        # One pseudo-header for both: RFC 8200 has 32-bit fields where RFC 9293 has 16 and 8, and
        # the zeros between make no difference to the sum.
        pseudo = address + address + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(header))
        return header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]
