"""Sequence numbers read off the loopback wire, and forged TCP segments put onto it."""
import socket
import struct
import sys

ETH_P_IP = 0x0800
ETHERNET_BYTES = 14
RST, SYN, ACK = 0x04, 0x02, 0x10
BEYOND = 5000000  # of the receive window
FAR = 1000000  # from what was sent, either way


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Wire:
    """The loopback interface of this network namespace."""

    def __init__(self, address):
        self.address = address
        self.sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self.sniffer.bind(("lo", 0))
        self.sniffer.settimeout(0.1)
        self.injector = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)

    def state_of(self, source_port):
        """Of the newest segment that left a port: (next sequence number, acknowledged)."""
        newest = None
        while True:
            try:
                frame = self.sniffer.recv(65536)
            except TimeoutError:
                return newest
            ip = frame[ETHERNET_BYTES:]
            header = (ip[0] & 15) * 4
            tcp = ip[header:]
            port = struct.unpack("!H", tcp[:2])[0]
            if ip[9] != socket.IPPROTO_TCP or port != source_port:
                continue
            seq, ack = struct.unpack("!II", tcp[4:12])
            payload = struct.unpack("!H", ip[2:4])[0] - header - (tcp[12] >> 4) * 4
            payload += 1 if tcp[13] & SYN else 0
            newest = ((seq + payload) & 0xFFFFFFFF, ack)

    def inject(self, trigger, connection):
        """A segment that seems to come from the client, for which the server challenges it."""
        client_next, server_next = connection.client_next, connection.server_next
        kinds = {
            "rst": (client_next + 10, 0, RST),
            "syn": (client_next + BEYOND, 0, SYN),
            "old_ack": (client_next, server_next - FAR, ACK),
            "new_ack": (client_next, server_next + FAR, ACK),
        }
        if trigger not in kinds:
            sys.exit(f"challenge.py: unknown trigger {trigger}")
        ports = connection.client_address[1], connection.server_address[1]
        self.injector.sendto(self.segment(*ports, *kinds[trigger]), (self.address, 0))

    def segment(self, source_port, target_port, seq, ack, flags):
        fields = source_port, target_port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags
        header = struct.pack("!HHIIBBHHH", *fields, 1024, 0, 0)
        address = socket.inet_aton(self.address)
        pseudo = address + address + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(header))
        return header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]
