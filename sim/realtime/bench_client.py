"""A plain client of the kernel's sockets that measures whatever answers at HOST, the same for every stack.

``python bench_client.py HOST KIND SIZE`` prints one number. Kinds: ``in`` and ``out`` (bits per second of SIZE bytes to
port 9 and from port 19), ``rr`` (median seconds of SIZE one-byte round trips on TCP port 7), ``udp`` (echoes per second
of SIZE datagrams of 64 bytes to UDP port 7, 32 of them on their way).
"""

import select
import socket
import statistics
import sys
import time

_CHUNK = 1 << 18
_LEAST_READ = 1 << 16
"""Bytes for which the reader is woken: of a fast stream a program takes much at a time."""
_IN_FLIGHT = 32
_DATAGRAM_BYTES = 64
_PATIENCE = 60.0
_CONGESTION_CONTROL = b"cubic"
"""Whatever the host's default is: its BBR, which takes no loss for congestion, would not be like our CUBIC."""


def _connect(host: str, port: int) -> socket.socket:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=5)
        except OSError:
            # A stack that has just started may not answer yet.
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            connection.settimeout(_PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _CONGESTION_CONTROL)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection


def measure_in(host: str, size: int) -> float:
    connection = _connect(host, 9)
    block = bytes(_CHUNK)
    started = time.perf_counter()
    left = size
    while left > 0:
        left -= connection.send(block[: min(left, _CHUNK)])
    connection.shutdown(socket.SHUT_WR)
    # The server closes when it has read everything.
    while connection.recv(_CHUNK):
        pass
    return 8 * size / (time.perf_counter() - started)


def measure_out(host: str, size: int) -> float:
    connection = _connect(host, 19)
    started = time.perf_counter()
    connection.send(str(size).encode())
    left = size
    while left > 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, min(left, _LEAST_READ))
        piece = len(connection.recv(_CHUNK))
        if not piece:
            raise SystemExit("the source has ended")
        left -= piece
    return 8 * size / (time.perf_counter() - started)


def measure_round_trips(host: str, count: int) -> float:
    connection = _connect(host, 7)
    times = []
    for _ in range(count):
        started = time.perf_counter()
        connection.send(b"x")
        connection.recv(1)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def measure_datagrams(host: str, count: int) -> float:
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.connect((host, 7))
    connection.setblocking(False)
    data = bytes(_DATAGRAM_BYTES)
    for _ in range(_IN_FLIGHT):
        connection.send(data)
    started = time.perf_counter()
    echoes = 0
    while echoes < count:
        if not select.select([connection], [], [], 1.0)[0]:
            # All were lost: a stack that drops may not stop the measurement.
            for _ in range(_IN_FLIGHT):
                connection.send(data)
            if time.perf_counter() - started > _PATIENCE:
                raise SystemExit("no echoes")
            continue
        while True:
            try:
                connection.recv(_CHUNK)
            except BlockingIOError:
                break
            echoes += 1
            connection.send(data)
    return echoes / (time.perf_counter() - started)


_KINDS = {"in": measure_in, "out": measure_out, "rr": measure_round_trips, "udp": measure_datagrams}


if __name__ == "__main__":
    print(_KINDS[sys.argv[2]](sys.argv[1], int(sys.argv[3])))
