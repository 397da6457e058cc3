"""Servers of the scenarios: bodies of processes for World.start, which report once they listen."""
import socket


def echo_udp(address, before=b""):
    """Answers each datagram with `before` and the same."""
    def serve(parent):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(address)
        parent.report("listening")
        while True:
            question, sender = sock.recvfrom(512)
            sock.sendto(before + question, sender)
    return serve


def hold_tcp(address):
    """Accepts connections and keeps them open."""
    def serve(parent):
        listener = socket.create_server(address, backlog=1024)
        parent.report("listening")
        connections = []
        while True:
            connections.append(listener.accept()[0])
    return serve


def close_tcp(address):
    """Closes each connection after the other side did, which so keeps its port in TIME_WAIT."""
    def serve(parent):
        listener = socket.create_server(address, backlog=1024)
        parent.report("listening")
        while True:
            connection = listener.accept()[0]
            connection.recv(1)
            connection.close()
    return serve
