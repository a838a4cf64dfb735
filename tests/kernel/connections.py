"""A plain client of the kernel: many echo connections at once. ``python connections.py HOST PORT COUNT BYTES``."""

import hashlib
import random
import selectors
import socket
import sys


def main() -> None:
    host, port, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    selector = selectors.DefaultSelector()
    sent: dict[socket.socket, int] = {}
    received = {}
    data = {}
    for number in range(count):
        connection = socket.create_connection((host, port), timeout=30)
        connection.setblocking(False)
        data[connection] = random.Random(number).randbytes(size)
        sent[connection] = 0
        received[connection] = bytearray()
        selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
    while selector.get_map():
        events = selector.select(30)
        assert events, "nothing moves any more"
        for key, mask in events:
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            if mask & selectors.EVENT_WRITE:
                sent[connection] += connection.send(data[connection][sent[connection] :][:65536])
                if sent[connection] == size:
                    connection.shutdown(socket.SHUT_WR)
                    selector.modify(connection, selectors.EVENT_READ)
            if mask & selectors.EVENT_READ:
                piece = connection.recv(1 << 20)
                received[connection] += piece
                if not piece:
                    selector.unregister(connection)
    equal = sum(hashlib.sha256(received[one]).digest() == hashlib.sha256(data[one]).digest() for one in data)
    print(f"{equal} of {count} equal")


if __name__ == "__main__":
    main()
