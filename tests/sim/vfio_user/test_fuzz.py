"""Whatever bytes and descriptors a client sends, the server goes on, keeps to mapped memory, and leaks nothing."""

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.vfio_user.messages import MAXIMUM_BYTES
from tests.examples import seeded
from tests.sim.vfio_user.serving import COPY, HEADER, PAGE, Serving, memory, serving

_COMMANDS = st.one_of(st.integers(0, 16), st.integers(0, 0xFFFF))
_FLAGS = st.sampled_from([0, 0x10, 0x20, 1, 0x11, 0xFFFFFFFF])
_NUMBERS = st.one_of(
    st.integers(0, 40),
    st.sampled_from([PAGE, 2 * PAGE, 3 * PAGE, 0x20000, 0x1FFFC, 2**31, 2**32 - 1, 2**63, 2**64 - PAGE, 2**64 - 1]),
    st.integers(0, 2**64 - 1),
)


@st.composite
def _bodies(draw: st.DrawFn) -> bytes:
    """Fields of 32 and 64 bits with values that are likely to matter, then anything."""
    fields = draw(st.lists(st.tuples(st.sampled_from("IQ"), _NUMBERS), max_size=6))
    data = b"".join(
        struct.pack(f"<{kind}", value & (2**32 - 1 if kind == "I" else 2**64 - 1)) for kind, value in fields
    )
    return data + draw(st.binary(max_size=40))


@st.composite
def _accesses(draw: st.DrawFn) -> tuple[int, bytes]:
    """A read or a write of some region."""
    region, offset = draw(st.integers(0, 9)), draw(_NUMBERS)
    if draw(st.booleans()):
        return 9, struct.pack("<QII", offset, region, draw(_NUMBERS) & 0xFFFFFFFF)
    data = draw(st.binary(max_size=16))
    size = draw(st.one_of(st.just(len(data)), _NUMBERS)) & 0xFFFFFFFF
    return 10, struct.pack("<QII", offset, region, size) + data


@st.composite
def _mappings(draw: st.DrawFn) -> tuple[int, bytes]:
    """DMA_MAP or DMA_UNMAP, some of which make sense."""
    pages = st.one_of(st.integers(0, 4).map(lambda number: number * PAGE), _NUMBERS)
    address, size = draw(pages), draw(pages)
    if draw(st.booleans()):
        return 3, struct.pack("<IIQQ", 24, draw(st.integers(0, 3)), address, size)
    return 2, struct.pack("<IIQQQ", 32, draw(st.integers(0, 3)), draw(pages), address, size)


_MESSAGES = st.one_of(
    st.tuples(_COMMANDS, _bodies()),
    _accesses(),
    _mappings(),
    st.just((10, struct.pack("<QIIH", 4, 7, 2, 6))),  # bus master
    st.integers(0, 4 * PAGE).map(lambda address: (10, struct.pack("<QIII", COPY, 0, 4, address))),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    path: Path = tmp_path_factory.mktemp("fuzz") / "nic.sock"
    with serving(path) as made:
        yield made


def _survives(server: Serving, before: int) -> None:
    """The next client is served, finds a fresh device, and nothing is left of the last."""
    with server.connect() as client:
        client.negotiate()
        assert client.read(0, 0) == (0, bytes(4))
        assert len(os.listdir("/proc/self/fd")) == before
        assert len(server.nic.memory) == 0


def _descriptors(server: Serving) -> int:
    with server.connect() as client:
        client.negotiate()
        return len(os.listdir("/proc/self/fd"))


@seeded
@settings(max_examples=80)
@given(
    messages=st.lists(st.tuples(_MESSAGES, _FLAGS, st.integers(-3, 3), st.integers(0, 9)), max_size=12),
    negotiate=st.booleans(),
)
@example(messages=[((1, b"\0\0\0\0"), 0, MAXIMUM_BYTES, 0)], negotiate=False)
@example(messages=[((2, struct.pack("<IIQQQ", 32, 3, 0, 0, PAGE)), 0, 0, 1), ((9, b""), 0, 5, 0)], negotiate=True)
def test_messages_of_all_kinds(
    server: Serving, messages: list[tuple[tuple[int, bytes], int, int, int]], negotiate: bool
) -> None:
    """Each message may tell a wrong size, and bring descriptors; the client leaves without reading."""
    before = _descriptors(server)
    with memory(4 * PAGE) as inside, memory(PAGE) as guarded, server.connect() as client:
        if negotiate:
            client.negotiate()
        try:
            for (command, body), flags, longer, descriptors in messages:
                data = HEADER.pack(1, command, max(HEADER.size + len(body) + longer, 0), flags, 0) + body
                socket.send_fds(client.socket, [data], [inside] * descriptors)
        except (BrokenPipeError, ConnectionResetError):
            pass  # sent away
        client.close()
        assert os.pread(guarded, PAGE, 0) == bytes(PAGE)
    _survives(server, before)


@seeded
@settings(max_examples=40)
@given(pieces=st.lists(st.binary(min_size=1, max_size=60), max_size=8))
def test_bytes_of_all_kinds(server: Serving, pieces: list[bytes]) -> None:
    before = _descriptors(server)
    with server.connect() as client:
        try:
            for piece in pieces:
                client.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # sent away
    _survives(server, before)
