"""Carries frames between two TAPs, and loses, delays, reorders, doubles and damages them: netem in user space.

Run inside a namespace: ``python relay.py SEED LEFT RIGHT name=value ...`` with probabilities per frame ``loss``,
``duplication``, ``reordering``, ``corruption``, and ``delay`` in milliseconds. Frames up to ``spare`` bytes
go unharmed.
"""

import contextlib
import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

_TUNSETIFF = 0x400454CA
_IFF_TAP_NO_PI = 0x1002
_LARGEST_FRAME = 65600
_REORDERED_BY = 0.004
"""Seconds by which a frame is held back to be overtaken."""
_ETHERNET_HEADER = 14


def _open(name: str) -> int:
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP_NO_PI))
    return file


def _damage(frame: bytes, generator: random.Random) -> bytes:
    """One bit turned over, behind the addresses: what a checksum must find."""
    position = generator.randrange(_ETHERNET_HEADER, len(frame))
    changed = frame[position] ^ 1 << generator.randrange(8)
    return frame[:position] + bytes((changed,)) + frame[position + 1 :]


def main() -> None:
    seed, left, right = sys.argv[1:4]
    settings = {"loss": 0.0, "duplication": 0.0, "reordering": 0.0, "corruption": 0.0, "delay": 0.0, "spare": 0.0}
    for word in sys.argv[4:]:
        name, _, value = word.partition("=")
        assert name in settings, word
        settings[name] = float(value)
    files = [_open(left), _open(right)]
    other = {files[0]: files[1], files[1]: files[0]}
    # One generator per direction, so that what happens one way does not change the other.
    generators = {file: random.Random(f"{seed} {number}") for number, file in enumerate(files)}
    waiting: list[tuple[float, int, int, bytes]] = []
    count = 0
    print("up", flush=True)
    while True:
        timeout = max(waiting[0][0] - time.monotonic(), 0) if waiting else None
        for file in select.select(files, [], [], timeout)[0]:
            generator = generators[file]
            frame = os.read(file, _LARGEST_FRAME)
            due = time.monotonic() + settings["delay"] / 1000
            copies = 1
            if len(frame) > settings["spare"]:
                if generator.random() < settings["loss"]:
                    continue
                if generator.random() < settings["duplication"]:
                    copies = 2
                if generator.random() < settings["reordering"]:
                    due += _REORDERED_BY
                if generator.random() < settings["corruption"]:
                    frame = _damage(frame, generator)
            for _ in range(copies):
                count += 1
                heapq.heappush(waiting, (due, count, other[file], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, file, frame = heapq.heappop(waiting)
            with contextlib.suppress(OSError):  # that side is down
                os.write(file, frame)


if __name__ == "__main__":
    main()
