"""The servers that ``bench_client`` measures, on the kernel's own sockets: discard (9) and source (19)."""

import contextlib
import socket
import socketserver
import threading

_CHUNK = 1 << 18
_BLOCK = bytes(_CHUNK)
_CONGESTION_CONTROL = b"cubic"
"""As in ``bench_client``."""


class _Discard(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while self.request.recv(_CHUNK):
            pass


class _Source(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.request.sendall(_BLOCK)


def main() -> None:
    for port, handler in ((9, _Discard), (19, _Source)):
        server = socketserver.ThreadingTCPServer(("", port), handler)
        server.daemon_threads = True
        # Connections inherit it.
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _CONGESTION_CONTROL)
        threading.Thread(target=server.serve_forever).start()
    print("up", flush=True)


if __name__ == "__main__":
    main()
