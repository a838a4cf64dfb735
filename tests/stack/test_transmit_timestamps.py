"""SO_TIMESTAMPING: when what was sent was queued, given to the device, acknowledged."""

import errno
import struct

import pytest

from stack.net_device import Features, NetdevTx
from stack.qdisc import Pfifo
from stack.skbuff import SkBuff
from stack.socket import (
    AF_INET,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_MORE,
    MSG_TRUNC,
    POLLERR,
    SO_SNDBUF,
    SO_SNDTIMEO,
    SO_TIMESTAMPING,
    SOCK_STREAM,
    SOF_TIMESTAMPING_OPT_ID,
    SOF_TIMESTAMPING_OPT_TSONLY,
    SOF_TIMESTAMPING_SOFTWARE,
    SOF_TIMESTAMPING_TX_ACK,
    SOF_TIMESTAMPING_TX_SCHED,
    SOF_TIMESTAMPING_TX_SOFTWARE,
    SOL_SOCKET,
    TCP_NODELAY,
)
from stack.socket.stream import StreamSocket
from tests.stack.scripted import MS, Script

SENT, SCHEDULED, ACKNOWLEDGED = 0, 1, 2
STAGES = SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK
ALL = STAGES | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID
EXTENDED = struct.Struct("<IBBBxII")


def opened(features: Features = Features.NONE, asked: int = ALL) -> tuple[Script, StreamSocket, int]:
    """A connection that has sent 100 bytes before the option was set, which are acknowledged."""
    script = Script(features=features)
    socket, iss = script.accepted(round_trip=10 * MS)
    script.call(socket.send(bytes(100)))
    script.inject("A", 1001, iss + 101)
    socket.setsockopt(6, TCP_NODELAY, 1)
    socket.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, asked)
    assert socket.getsockopt(SOL_SOCKET, SO_TIMESTAMPING) == asked
    script.sent.clear()
    return script, socket, iss + 101


def told(script: Script, socket: StreamSocket) -> list[tuple[int, int, int]]:
    """(stage, key, time) of all that waits."""
    found = []
    while socket.poll() & POLLERR:
        data, messages, flags, _ = script.call(socket.recvmsg(0, 200, MSG_ERRQUEUE))
        assert (data, flags) == (b"", MSG_ERRQUEUE | MSG_TRUNC)
        (level, kind, packed), (error_level, error_kind, extended) = messages
        assert (level, kind, error_level, error_kind) == (SOL_SOCKET, 37, 0, 11)
        seconds, nanoseconds = struct.unpack("<qq", packed[:16])
        assert packed[16:] == bytes(32), "no device has stamped it"
        number, origin, type_, code, stage, key = EXTENDED.unpack(extended[:16])
        assert (number, origin, type_, code, extended[16:]) == (errno.ENOMSG, 4, 0, 0, bytes(16))
        found.append((stage, key, seconds * 1000 * MS + nanoseconds))
    with pytest.raises(BlockingIOError):
        script.call(socket.recvmsg(0, 200, MSG_ERRQUEUE))
    return found


def test_three_stages_of_the_last_byte() -> None:
    script, socket, first = opened()
    begun = script.engine.now
    script.call(socket.send(bytes(1000)))
    script.call(socket.send(bytes(500)))
    assert told(script, socket) == [(stage, key, begun) for key in (999, 1499) for stage in (SCHEDULED, SENT)]
    script.run(10 * MS)
    script.inject("A", 1001, first + 999)
    assert told(script, socket) == []
    script.inject("A", 1001, first + 1500)
    assert told(script, socket) == [(ACKNOWLEDGED, key, begun + 10 * MS) for key in (999, 1499)]


@pytest.mark.parametrize("features", [Features.NONE, Features.GSO, Features.SG | Features.HW_CSUM | Features.TSO])
def test_a_large_packet_is_with_the_device_when_its_last_segment_is(features: Features) -> None:
    script, socket, first = opened(features)
    begun = script.engine.now
    script.device.stop_queue()
    script.call(socket.send(bytes(4000)))
    assert told(script, socket) == [(SCHEDULED, 3999, begun)]
    script.run(3 * MS)
    script.device.wake_queue()
    assert told(script, socket) == [(SENT, 3999, begun + 3 * MS)]
    script.inject("A", 1001, first + 4000)
    assert told(script, socket) == [(ACKNOWLEDGED, 3999, begun + 3 * MS)]


def test_all_segments_of_a_packet_must_be_with_the_device() -> None:
    script, socket, _ = opened(Features.GSO)
    start_xmit = script.device.start_xmit

    def one_at_a_time(skb: SkBuff) -> NetdevTx:
        script.device.stop_queue()
        return start_xmit(skb)

    script.device.start_xmit = one_at_a_time  # type: ignore[method-assign]
    script.call(socket.send(bytes(4000)))
    found = []
    for _ in range(3):
        found.append([event[0] for event in told(script, socket)])
        script.device.wake_queue()
    assert found == [[SCHEDULED], [], [SENT]]


def test_of_a_call_that_waits_for_room_only_the_last_byte_counts() -> None:
    script, socket, first = opened()
    socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 3000)
    call = script.start(socket.send(bytes(5000)))
    for acknowledged in (1460, 2920, 3000, 4460, 5000):
        script.inject("A", 1001, first + acknowledged)
    assert call.result() == 5000
    assert [event[:2] for event in told(script, socket)] == [(SCHEDULED, 4999), (SENT, 4999), (ACKNOWLEDGED, 4999)]


def test_of_a_call_that_takes_a_part_its_last_byte_counts() -> None:
    script, socket, first = opened()
    socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 3000)
    assert script.call(socket.send(bytes(5000), MSG_DONTWAIT)) == 3000
    script.inject("A", 1001, first + 3000)
    assert [event[:2] for event in told(script, socket)] == [(SCHEDULED, 2999), (SENT, 2999), (ACKNOWLEDGED, 2999)]
    # One that has waited for more in vain asks too late for all but the last stage.
    socket.setsockopt(SOL_SOCKET, SO_SNDTIMEO, 50 * MS)
    call = script.start(socket.send(bytes(5000)))
    script.run(60 * MS)
    assert call.result() == 3000
    script.inject("A", 1001, first + 6000)
    assert [event[:2] for event in told(script, socket)] == [(ACKNOWLEDGED, 5999)]


def test_who_waits_for_news_is_called() -> None:
    script, socket, first = opened(asked=SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE)
    script.call(socket.send(bytes(100)))
    calls: list[int] = []
    socket.watchers[lambda: calls.append(socket.poll() & POLLERR)] = None
    script.inject("A", 1001, first + 100)
    assert POLLERR in calls


def test_what_goes_in_one_packet_is_told_of_once() -> None:
    script, socket, first = opened()
    script.call(socket.send(bytes(100), MSG_MORE))
    script.call(socket.send(bytes(100)))
    script.inject("A", 1001, first + 200)
    assert [event[:2] for event in told(script, socket)] == [(SCHEDULED, 199), (SENT, 199), (ACKNOWLEDGED, 199)]


def test_what_is_sent_again_is_told_of_once() -> None:
    script, socket, first = opened()
    script.call(socket.send(bytes(100)))
    script.run(2000 * MS)
    assert len(script.sent) > 1
    script.inject("A", 1001, first + 100)
    assert [event[0] for event in told(script, socket)] == [SCHEDULED, SENT, ACKNOWLEDGED]


def test_what_the_queue_drops_is_not_with_the_device() -> None:
    script, socket, _ = opened()
    script.device.set_qdisc(Pfifo(1))
    script.device.stop_queue()
    script.call(socket.send(bytes(100)))
    script.call(socket.send(bytes(100)))
    assert [event[:2] for event in told(script, socket)] == [(SCHEDULED, 99), (SCHEDULED, 199)]
    script.device.wake_queue()
    assert [event[:2] for event in told(script, socket)] == [(SENT, 99)]


@pytest.mark.parametrize(
    ("flag", "stage"),
    [
        (SOF_TIMESTAMPING_TX_SCHED, SCHEDULED),
        (SOF_TIMESTAMPING_TX_SOFTWARE, SENT),
        (SOF_TIMESTAMPING_TX_ACK, ACKNOWLEDGED),
    ],
)
def test_only_what_was_asked_for(flag: int, stage: int) -> None:
    script, socket, first = opened(asked=flag | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID)
    script.call(socket.send(bytes(100)))
    script.inject("A", 1001, first + 100)
    assert [event[:2] for event in told(script, socket)] == [(stage, 99)]
    # Numbers go on where the option is set again without a change, and begin anew after it was off.
    socket.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, flag | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID)
    script.call(socket.send(bytes(100)))
    script.inject("A", 1001, first + 200)
    assert [event[:2] for event in told(script, socket)] == [(stage, 199)]
    socket.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, 0)
    script.call(socket.send(bytes(100)))
    script.inject("A", 1001, first + 300)
    assert told(script, socket) == []
    socket.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, flag | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID)
    script.call(socket.send(bytes(100)))
    script.inject("A", 1001, first + 400)
    assert [event[:2] for event in told(script, socket)] == [(stage, 99)]


def test_without_numbers_time_or_packet() -> None:
    script, socket, _ = opened(asked=SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_OPT_TSONLY)
    script.call(socket.send(bytes(100)))
    data, messages, flags, _ = script.call(socket.recvmsg(0, 200, MSG_ERRQUEUE))
    assert (data, flags) == (b"", MSG_ERRQUEUE)
    ((_, _, extended),) = messages
    assert EXTENDED.unpack(extended[:16]) == (errno.ENOMSG, 4, 0, 0, SCHEDULED, 0)


def test_what_waits_for_the_program_is_bounded() -> None:
    script, socket, _ = opened(asked=SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID)
    socket._connected().sender.congestion.cwnd = 1 << 20
    for _ in range(100):
        script.call(socket.send(b"x"))
    assert [key for _, key, _ in told(script, socket)] == list(range(64))


@pytest.mark.parametrize("flags", [1, 1 << 3, 1 << 30, ALL | 1 << 2])
def test_what_is_not_built_is_refused(flags: int) -> None:
    script, socket, _ = opened()
    with pytest.raises(OSError, match="Invalid argument"):
        socket.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, flags)
    assert socket.getsockopt(SOL_SOCKET, SO_TIMESTAMPING) == ALL
    with pytest.raises(OSError, match="Invalid argument"):
        script.stack.socket(AF_INET, SOCK_STREAM).setsockopt(SOL_SOCKET, SO_TIMESTAMPING, STAGES)
    script.inject("R", 1001, 0)
    with pytest.raises(OSError, match="Invalid argument"):
        socket.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, STAGES)
