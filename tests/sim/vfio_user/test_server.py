"""The vfio-user server as a client sees it."""

import errno
import json
import os
import select
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.errors import UserError
from sim.vfio_user.messages import MAXIMUM_BYTES, Command
from sim.vfio_user.server import listen
from tests.sim.vfio_user.serving import (
    ADDRESS,
    COPY,
    HEADER,
    NO_REPLY,
    PAGE,
    RAISE,
    TIMEOUT,
    Client,
    Serving,
    memory,
    serving,
)

SET_IRQS = struct.Struct("<IIIII")
TRIGGER_EVENTFD, TRIGGER_NONE, UNMASK = 0x24, 0x21, 0x11


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path / "nic.sock") as made:
        yield made


@pytest.fixture
def client(server: Serving) -> Iterator[Client]:
    with server.connect() as made:
        made.negotiate()
        yield made


def test_version(server: Serving) -> None:
    with server.connect() as client:
        body = client.negotiate()
    assert body[:4] == struct.pack("<HH", 0, 0)
    assert body[-1:] == b"\0"
    assert json.loads(body[4:-1]) == {"capabilities": {"max_msg_fds": 8, "max_data_xfer_size": 1 << 20}}


def test_another_version_is_refused(server: Serving) -> None:
    with server.connect() as client:
        assert client.ask(Command.VERSION, struct.pack("<HH", 1, 0))[0] == errno.EINVAL


def test_nothing_comes_before_the_version(server: Serving) -> None:
    with server.connect() as client:
        assert client.read(0, 0)[0] == errno.EINVAL


def test_device_regions_and_interrupts_are_those_of_an_82540em(client: Client) -> None:
    number, body = client.ask(Command.DEVICE_GET_INFO, struct.pack("<IIII", 16, 0, 0, 0))
    assert (number, struct.unpack("<IIII", body)) == (0, (16, 3, 9, 5))
    sizes = []
    for index in range(9):
        number, body = client.ask(Command.DEVICE_GET_REGION_INFO, struct.pack("<IIIIQQ", 32, 0, index, 0, 0, 0))
        _, flags, _, _, size, _ = struct.unpack("<IIIIQQ", body)
        assert (number, flags) == (0, 3 if size else 0)
        sizes.append(size)
    assert sizes == [0x20000, 32, 0, 0, 0, 0, 0, 256, 0]
    assert client.ask(Command.DEVICE_GET_REGION_INFO, struct.pack("<IIIIQQ", 32, 0, 9, 0, 0, 0))[0] == errno.EINVAL
    for index, expected in ((0, (16, 7, 0, 1)), (1, (16, 0, 1, 0))):
        number, body = client.ask(Command.DEVICE_GET_IRQ_INFO, struct.pack("<IIII", 16, 0, index, 0))
        assert (number, struct.unpack("<IIII", body)) == (0, expected)
    assert client.ask(Command.DEVICE_GET_IRQ_INFO, struct.pack("<IIII", 16, 0, 5, 0))[0] == errno.EINVAL


def test_configuration_space(client: Client) -> None:
    number, data = client.read(7, 0, 256)
    assert number == 0
    assert data[:4] == bytes.fromhex("86800e10")
    assert data[9:12] == bytes.fromhex("000002")
    assert (data[0x10], data[0x14], data[0x3D]) == (0, 1, 1)
    assert client.write(7, 0, b"\xff\xff\xff\xff") == 0
    assert client.read(7, 0)[1] == data[:4]
    assert client.write(7, 0x10, b"\xff\xff\xff\xff") == 0
    assert client.read(7, 0x10)[1] == struct.pack("<I", 0xFFFE0000)
    assert client.write(7, 0x14, b"\xff\xff\xff\xff") == 0
    assert client.read(7, 0x14)[1] == struct.pack("<I", 0xFFFFFFE1)


def test_registers_are_read_and_written_in_order(client: Client) -> None:
    for value in range(50):
        client.post(ADDRESS, value)
    assert client.read(0, ADDRESS) == (0, struct.pack("<I", 49))
    assert client.write(0, ADDRESS, b"\1\2\3\4") == 0
    assert client.read(0, ADDRESS) == (0, b"\1\2\3\4")
    assert client.write(1, 0, b"\7\0\0\0") == 0
    assert client.read(1, 0) == (0, b"\7\0\0\0")


@pytest.mark.parametrize(
    ("region", "offset", "size"),
    [
        (0, 0x20000, 4),
        (0, 0x1FFFE, 4),
        (0, 2**64 - 4, 4),
        (0, 1, 4),
        (0, 0, 1),
        (0, 0, 2),
        (0, 0, 8),
        (0, 0, 0),
        (1, 32, 4),
        (1, 0, 3),
        (2, 0, 4),
        (7, 253, 4),
        (7, 0, 257),
        (8, 0, 4),
        (99, 0, 4),
        (0, 0, 2**32 - 1),
    ],
)
def test_accesses_outside_or_of_odd_size_are_refused(
    server: Serving, client: Client, region: int, offset: int, size: int
) -> None:
    assert client.read(region, offset, size)[0] == errno.EINVAL
    body = struct.pack("<QII", offset, region, size) + bytes(min(size, 300))
    assert client.ask(Command.REGION_WRITE, body)[0] == errno.EINVAL
    assert client.read(0, ADDRESS) == (0, bytes(4))
    assert server.statistics.refused == 2
    assert any("refused: access to region" in line for line in server.log)


def test_a_write_that_brings_other_than_it_says_is_refused(client: Client) -> None:
    for data in (b"", b"\1\2\3", bytes(5)):
        assert client.ask(Command.REGION_WRITE, struct.pack("<QII", 0, 0, 4) + data)[0] == errno.EINVAL


def test_memory_is_mapped_not_copied(client: Client) -> None:
    with memory(4 * PAGE) as descriptor:
        client.enable_dma()
        assert client.map(0x10000, 2 * PAGE, descriptor, offset=PAGE) == 0
        os.pwrite(descriptor, b"12345678", PAGE + 16)
        client.post(ADDRESS, 0x10010)
        client.post(COPY, 0x11000)
        assert client.read(0, ADDRESS)[0] == 0
        assert os.pread(descriptor, 8, 2 * PAGE) == b"12345678"


def test_without_bus_master_nothing_is_reached(server: Serving, client: Client) -> None:
    with memory(PAGE) as descriptor:
        assert client.map(0, PAGE, descriptor) == 0
        client.post(COPY, 8)
        assert client.read(0, ADDRESS)[0] == 0
        assert os.pread(descriptor, 16, 0) == bytes(16)
        assert (server.nic.memory.bad_reads, server.nic.memory.bad_writes) == (1, 1)


@pytest.mark.parametrize("hidden", ["unmapped", "no descriptor", "not readable"])
def test_what_cannot_be_reached_reads_as_ones(server: Serving, client: Client, hidden: str) -> None:
    with memory(2 * PAGE) as descriptor:
        client.enable_dma()
        assert client.map(0, PAGE, descriptor) == 0
        assert client.map(PAGE, PAGE, None if hidden == "no descriptor" else descriptor, offset=PAGE) == 0
        if hidden == "unmapped":
            assert client.unmap(PAGE, PAGE) == 0
        elif hidden == "not readable":
            assert client.unmap(PAGE, PAGE) == 0
            assert client.map(PAGE, PAGE, descriptor, offset=PAGE, flags=2) == 0
        client.post(ADDRESS, PAGE - 4)
        client.post(COPY, 8)
        assert client.read(0, ADDRESS)[0] == 0
        assert os.pread(descriptor, 8, 8) == bytes(4) + b"\xff" * 4
        assert (server.nic.memory.bad_reads, server.nic.memory.bad_writes) == (1, 0)


def test_a_guest_that_does_not_share_its_memory_is_told_so(server: Serving, client: Client) -> None:
    hint = "none of the guest's memory is shared: start QEMU with memory-backend-memfd,share=on"
    assert client.map(0, PAGE, None) == 0
    client.enable_dma()
    assert server.log.count(hint) == 1
    with memory(PAGE) as descriptor:
        assert client.map(PAGE, PAGE, descriptor) == 0
    assert client.write(7, 4, b"\x00\x00") == 0
    client.enable_dma()
    assert server.log.count(hint) == 1


def test_memory_that_is_read_only_is_not_written(server: Serving, client: Client) -> None:
    with memory(PAGE) as descriptor:
        client.enable_dma()
        assert client.map(0, PAGE, descriptor, flags=1) == 0
        os.pwrite(descriptor, b"abcdefgh", 0)
        client.post(COPY, 64)
        assert client.read(0, ADDRESS)[0] == 0
        assert os.pread(descriptor, 8, 64) == bytes(8)
        assert server.nic.memory.bad_writes == 1


@pytest.mark.parametrize(
    ("address", "size", "offset"),
    [
        (1, PAGE, 0),
        (0, 100, 0),
        (0, 0, 0),
        (0, PAGE, 8),
        (0, 8 * PAGE, 0),
        (0, PAGE, 4 * PAGE),
        (2**64 - PAGE, 2 * PAGE, 0),
        (0, 2**63, 2**63),
    ],
)
def test_mappings_that_make_no_sense_are_refused(client: Client, address: int, size: int, offset: int) -> None:
    with memory(4 * PAGE) as descriptor:
        assert client.map(address, size, descriptor, offset=offset) == errno.EINVAL


def test_mappings_must_not_overlap(client: Client) -> None:
    with memory(4 * PAGE) as descriptor:
        assert client.map(PAGE, 2 * PAGE, descriptor) == 0
        for address, size in ((0, 2 * PAGE), (PAGE, PAGE), (2 * PAGE, 2 * PAGE), (0, 4 * PAGE)):
            assert client.map(address, size, descriptor) == errno.EEXIST
        assert client.unmap(PAGE, PAGE) == errno.ENOENT
        assert client.unmap(PAGE, 2 * PAGE) == 0
        assert client.unmap(PAGE, 2 * PAGE) == errno.ENOENT


def test_memory_that_could_shrink_is_refused(server: Serving, client: Client, tmp_path: Path) -> None:
    """A file that is cut after it was mapped would end the server at its next access (SIGBUS)."""
    with memory(PAGE, sealed=False) as descriptor:
        assert client.map(0, PAGE, descriptor) == errno.EINVAL
    with (tmp_path / "file").open("w+b") as file:
        file.truncate(PAGE)
        assert client.map(0, PAGE, file.fileno()) == errno.EINVAL
    read, write = os.pipe()
    assert client.map(0, PAGE, read) == errno.EINVAL
    os.close(read)
    os.close(write)
    assert any("could shrink" in line for line in server.log)


def _eventfd(client: Client) -> int:
    descriptor = os.eventfd(0, os.EFD_NONBLOCK)
    assert (
        client.ask(Command.DEVICE_SET_IRQS, SET_IRQS.pack(20, TRIGGER_EVENTFD, 0, 0, 1), descriptors=[descriptor])[0]
        == 0
    )
    return descriptor


def _triggered(descriptor: int) -> bool:
    """Whether the interrupt was told once. It is, after the answer to what raised it."""
    select.select([descriptor], [], [], TIMEOUT)
    return os.eventfd_read(descriptor) == 1


def _silent(descriptor: int) -> bool:
    try:
        os.eventfd_read(descriptor)
    except BlockingIOError:
        return True
    return False


def test_the_interrupt_is_masked_by_itself_and_told_again_if_it_stays(client: Client) -> None:
    descriptor = _eventfd(client)
    client.post(RAISE, 1)
    assert _triggered(descriptor)
    assert client.read(0, ADDRESS)[0] == 0
    assert _silent(descriptor)
    assert client.ask(Command.DEVICE_SET_IRQS, SET_IRQS.pack(20, UNMASK, 0, 0, 1))[0] == 0
    assert _triggered(descriptor)
    assert client.read(0, RAISE)[0] == 0
    assert client.ask(Command.DEVICE_SET_IRQS, SET_IRQS.pack(20, UNMASK, 0, 0, 1))[0] == 0
    assert _silent(descriptor)
    client.post(RAISE, 1)
    assert _triggered(descriptor)
    assert client.ask(Command.DEVICE_SET_IRQS, SET_IRQS.pack(20, TRIGGER_NONE, 0, 0, 0))[0] == 0
    assert client.ask(Command.DEVICE_SET_IRQS, SET_IRQS.pack(20, UNMASK, 0, 0, 1))[0] == 0
    assert _silent(descriptor)
    os.close(descriptor)


def test_an_interrupt_that_goes_nowhere(server: Serving, client: Client) -> None:
    """Pipes that nobody reads, or that are full."""
    for full in (False, True):
        read, write = os.pipe()
        os.set_blocking(write, False)
        if full:
            os.write(write, bytes(1 << 20))
        else:
            os.close(read)
        request = SET_IRQS.pack(20, TRIGGER_EVENTFD, 0, 0, 1)
        assert client.ask(Command.DEVICE_SET_IRQS, request, descriptors=[write])[0] == 0
        client.post(RAISE, 1)
        assert client.ask(Command.DEVICE_SET_IRQS, SET_IRQS.pack(20, UNMASK, 0, 0, 1))[0] == 0
        os.close(write)
        if full:
            os.close(read)
    assert client.read(0, ADDRESS)[0] == 0


def test_the_interrupt_is_silent_while_configuration_space_disables_it(client: Client) -> None:
    descriptor = _eventfd(client)
    assert client.write(7, 4, b"\x00\x04") == 0
    client.post(RAISE, 1)
    assert client.ask(Command.DEVICE_SET_IRQS, SET_IRQS.pack(20, UNMASK, 0, 0, 1))[0] == 0
    assert _silent(descriptor)
    assert client.write(7, 4, b"\x00\x00") == 0
    assert _triggered(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize(
    ("flags", "index", "start", "count", "number"),
    [
        (0x27, 0, 0, 1, errno.EINVAL),
        (0x04, 0, 0, 1, errno.EINVAL),
        (0x24, 5, 0, 1, errno.EINVAL),
        (0x24, 0, 1, 1, errno.EINVAL),
        (0x24, 0, 0, 2, errno.EINVAL),
        (0x22, 0, 0, 1, errno.EINVAL),
        (0x24, 1, 0, 1, errno.EINVAL),
        (0xFFFFFFFF, 0, 0, 0, errno.EINVAL),
        (0x14, 0, 0, 1, errno.ENOTSUP),
        (0x21, 1, 0, 0, 0),
    ],
)
def test_interrupt_requests_that_make_no_sense(
    client: Client, flags: int, index: int, start: int, count: int, number: int
) -> None:
    assert client.ask(Command.DEVICE_SET_IRQS, SET_IRQS.pack(20, flags, index, start, count))[0] == number


def test_reset(server: Serving, client: Client) -> None:
    client.enable_dma()
    client.post(ADDRESS, 5)
    assert client.ask(Command.DEVICE_RESET)[0] == 0
    assert client.read(0, ADDRESS) == (0, bytes(4))
    assert client.read(7, 4, 2) == (0, bytes(2))
    assert server.nic.resets == 1


@pytest.mark.parametrize("command", [0, 6, 11, 12, 14, 15, 99, 0xFFFF])
def test_unknown_commands_are_refused(client: Client, command: int) -> None:
    assert client.ask(command, b"whatever")[0] == errno.ENOSYS
    client.send(command, flags=NO_REPLY)
    assert client.read(0, ADDRESS)[0] == 0


@pytest.mark.parametrize("command", [1, 2, 3, 4, 5, 7, 8, 9, 10])
def test_commands_cut_short_within_their_size_are_refused(client: Client, command: int) -> None:
    assert client.ask(command, b"\0")[0] == errno.EINVAL


def _ended(client: Client) -> bool:
    try:
        return client.socket.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("size", [0, 15, MAXIMUM_BYTES + 1, 2**32 - 1])
def test_a_message_of_impossible_size_ends_the_connection(server: Serving, size: int) -> None:
    with server.connect() as client:
        client.socket.sendall(HEADER.pack(1, 1, size, 0, 0))
        assert _ended(client)
    with server.connect() as client:
        client.negotiate()
    assert any(f"a message of {size} bytes" in line for line in server.log)


def test_a_message_that_is_no_command_ends_the_connection(server: Serving) -> None:
    with server.connect() as client:
        client.socket.sendall(HEADER.pack(1, 1, 16, 1, 0))
        assert _ended(client)
    with server.connect() as client:
        client.negotiate()


@pytest.mark.parametrize("sent", [1, 15, 16, 20])
def test_a_message_that_is_cut_off(server: Serving, sent: int) -> None:
    with server.connect() as client:
        client.negotiate()
        client.socket.sendall((HEADER.pack(9, 9, 32, 0, 0) + bytes(16))[:sent])
        client.socket.shutdown(socket.SHUT_WR)
        assert _ended(client)
    with server.connect() as client:
        client.negotiate()
    assert "the client was sent away: the client ended in the middle of a message" in server.log
    assert server.statistics.broken == 1


def test_a_message_may_come_in_pieces(client: Client) -> None:
    message = HEADER.pack(7, Command.REGION_READ, 32, 0, 0) + struct.pack("<QII", 0, 0, 4)
    for byte in message:
        client.socket.sendall(bytes([byte]))
    assert client.receive()[:2] == (7, 0)


def test_too_many_descriptors_end_the_connection(server: Serving) -> None:
    counts = []
    for number in (8, 9, 9, 9):
        descriptors = [os.open("/dev/null", os.O_RDONLY) for _ in range(number)]
        with server.connect() as client:
            client.negotiate()
            client.send(Command.DMA_MAP, bytes(32), descriptors=descriptors)
            if number > 8:
                assert _ended(client)
            else:
                assert client.receive()[1] == errno.EINVAL
        for descriptor in descriptors:
            os.close(descriptor)
        # When the next client is served, all of the last one is gone.
        with server.connect() as client:
            client.negotiate()
            counts.append(len(os.listdir("/proc/self/fd")))
    assert len(set(counts)) == 1
    assert server.statistics.broken == 3


def test_descriptors_that_nobody_wants_are_closed(server: Serving, client: Client) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with memory(PAGE) as descriptor:
        for _ in range(20):
            assert client.ask(Command.DEVICE_GET_INFO, bytes(16), descriptors=[descriptor] * 8)[0] == 0
            assert client.map(1, PAGE, descriptor) == errno.EINVAL
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_client_that_reads_no_replies_is_sent_away(server: Serving) -> None:
    with server.connect() as client:
        client.negotiate()
        message = HEADER.pack(1, Command.REGION_READ, 32, 0, 0) + struct.pack("<QII", 0, 7, 256)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            client.socket.sendall(message * 100_000)
    with server.connect() as client:
        client.negotiate()
    assert "the client was sent away: the client does not read its replies" in server.log


def test_the_next_client_finds_nothing_of_the_one_before(server: Serving) -> None:
    with memory(PAGE) as descriptor:
        with server.connect() as client:
            client.negotiate()
            client.enable_dma()
            assert client.map(0, PAGE, descriptor) == 0
            client.post(ADDRESS, 8)
            client.post(RAISE, 1)
        with server.connect() as client:
            client.negotiate()
            assert client.read(0, ADDRESS) == (0, bytes(4))
            assert client.read(7, 4, 2) == (0, bytes(2))
            client.enable_dma()
            client.post(COPY, 16)
            assert client.read(0, ADDRESS)[0] == 0
        assert os.pread(descriptor, PAGE, 0) == bytes(PAGE)
    assert server.nic.resets >= 1


def test_a_socket_that_nobody_serves_any_more_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "nic.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(str(path))
    with serving(path) as server, server.connect() as client:
        client.negotiate()


def test_a_socket_that_is_served_is_left_alone(server: Serving) -> None:
    with pytest.raises(UserError, match="is served already"):
        listen(server.path)
    with server.connect() as client:
        client.negotiate()


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("important")
    with pytest.raises(UserError, match="is no socket"):
        listen(path)
    assert path.read_text() == "important"


@pytest.mark.parametrize("name", ["missing/nic.sock", "x" * 200])
def test_where_no_socket_can_be_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="no socket can be made"):
        listen(tmp_path / name)


def test_the_server_ends_after_as_many_clients_as_asked(tmp_path: Path) -> None:
    with serving(tmp_path / "nic.sock", clients=1) as server:
        with server.connect() as client:
            client.socket.sendall(b"x")
        with server.connect() as client:
            client.negotiate()
        assert server.ended.wait(TIMEOUT)
    assert server.log[-1] == "the client has gone"
    assert (server.statistics.clients, server.statistics.broken) == (2, 1)
