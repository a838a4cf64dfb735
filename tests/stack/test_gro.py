"""Generic receive offload: what goes up, cut again, is what came in."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine import EventEngine
from sim.host import IDEAL, HostCpu
from stack import gso
from stack.gro import GenericReceiveOffload
from stack.net_device import Features
from stack.skbuff import IpSummed, SkBuff
from tests.stack.network import MS, OFFLOADS, Faults, Network, WireEnd
from tests.stack.test_gso import large_packet
from tests.stack.test_tcp_network import exchange

CPU = HostCpu(EventEngine(seed=1), IDEAL)


def frames(size: int, *, mss: int = 100, flags: str = "PA", sequence: int = 1000, options: bool = True) -> list[bytes]:
    whole = large_packet(bytes(number & 0xFF for number in range(size)), mss, flags, sequence, 7, options)
    return [packet.frame() for packet in gso.segment(whole, CPU, checksum=True)]


def receive(arriving: list[bytes], *, checked: bool = True) -> list[SkBuff]:
    """What goes up of a poll."""
    up: list[SkBuff] = []
    gro = GenericReceiveOffload(up.append, CPU)
    for frame in arriving:
        skb = SkBuff(frame)
        skb.ip_summed = IpSummed.UNNECESSARY if checked else IpSummed.NONE
        gro.receive(skb)
    gro.flush()
    return up


def cut_again(skb: SkBuff) -> list[bytes]:
    """The frames that a packet stands for."""
    if not skb.gso_size:
        return [bytes(skb.data)]
    frame = bytes(skb.data)
    head = 34 + (frame[46] >> 4) * 4
    whole = large_packet(frame[head:], skb.gso_size, "A", 0, 0, options=False)
    made = bytearray(frame[:head])
    length = len(frame) - 34
    made[50:52] = int.to_bytes((0x0A000001 >> 16) + 1 + (0x0A000002 >> 16) + 2 + 6 + length, 2, "big")
    whole.head = bytes(made)
    return [packet.frame() for packet in gso.segment(whole, CPU, checksum=True)]


@given(size=st.integers(2, 3000), mss=st.integers(50, 1400), options=st.booleans())
def test_a_train_becomes_one_packet_that_is_cut_again(size: int, mss: int, options: bool) -> None:
    arriving = frames(size, mss=mss, options=options)
    up = receive(arriving)
    assert len(up) == 1
    assert cut_again(up[0]) == arriving


def changed(position: int, value: int) -> Callable[[list[bytes]], None]:
    def change(arriving: list[bytes]) -> None:
        frame = bytearray(arriving[2])
        frame[position] ^= value
        arriving[2] = bytes(frame)

    return change


@pytest.mark.parametrize(
    ("change", "sizes"),
    [
        (lambda arriving: arriving.pop(2), [2, 2]),
        (lambda arriving: arriving.insert(3, arriving.pop(2)), [2, 1, 1, 1]),
        (changed(45, 1), [2, 1, 2]),
        (changed(48, 1), [2, 1, 2]),
        (changed(60, 1), [2, 1, 2]),
        (changed(15, 3), [2, 1, 2]),
        (changed(24, 1), [2, 1, 2]),
        (changed(47, 1), [2, 1, 2]),
        (changed(36, 1), [2, 1, 2]),
    ],
    ids=["lost", "overtaken", "acknowledgment", "window", "timestamp", "CE mark", "bad IP header", "FIN", "other port"],
)
def test_what_differs_is_not_put_together(change: Callable[[list[bytes]], None], sizes: list[int]) -> None:
    arriving = frames(500)
    change(arriving)
    up = receive(arriving)
    assert sorted(max(skb.gso_segs, 1) for skb in up) == sorted(sizes)
    by_flow = [frame for skb in up for frame in ([bytes(skb.data)] if not skb.gso_size else cut_again(skb))]
    assert sorted(by_flow) == sorted(arriving)
    assert [frame for frame in by_flow if frame[36] == arriving[0][36]] == [
        frame for frame in arriving if frame[36] == arriving[0][36]
    ], "order within a flow"


def test_push_and_short_segments_end_a_train() -> None:
    first, second = frames(250), frames(250, sequence=1250)
    assert [skb.gso_segs for skb in receive(first + second)] == [3, 3]


def test_what_the_device_has_not_checked_is_checked_here() -> None:
    arriving = frames(400)
    up = receive(arriving, checked=False)
    assert len(up) == 1
    assert cut_again(up[0]) == arriving
    changed(60, 1)(arriving)
    up = receive(arriving, checked=False)
    # The damaged one goes up alone, for TCP to count.
    assert [skb.ip_summed for skb in up] == [IpSummed.UNNECESSARY, IpSummed.NONE, IpSummed.UNNECESSARY]
    assert [frame for skb in up for frame in cut_again(skb)] == arriving


def test_what_has_been_put_together_before_stays_as_it_is_and_in_its_place() -> None:
    first, second, third = frames(300, mss=100, flags="A")
    up: list[SkBuff] = []
    gro = GenericReceiveOffload(up.append, CPU)
    for frame, gso_size in ((first, 0), (second, 50), (third, 0)):
        skb = SkBuff(frame)
        skb.ip_summed = IpSummed.UNNECESSARY
        skb.gso_size = gso_size
        gro.receive(skb)
    gro.flush()
    assert [bytes(skb.data) for skb in up] == [first, second, third]
    assert [skb.gso_size for skb in up] == [0, 50, 0]


def test_padding_is_no_data() -> None:
    arriving = [frame + bytes(10) for frame in frames(20, mss=10, options=False)]
    (merged,) = receive(arriving)
    assert len(merged.data) == 54 + 20


class Polled(WireEnd):
    """Delivers what has come in a millisecond as one poll."""

    def arrive(self, frame: bytes) -> None:
        skb = SkBuff(frame)
        skb.ip_summed = IpSummed.UNNECESSARY
        if not self.waiting:
            self.env.call_at(self.env.now + MS, self.poll)
        self.waiting.append(skb)

    waiting: list[SkBuff]

    def poll(self) -> None:
        waiting, self.waiting = self.waiting, []
        for skb in waiting:
            self.netif_receive_skb(skb)
        self.gro_flush()


@pytest.mark.parametrize("faults", [Faults(), Faults(loss=0.03, duplication=0.03, reordering=0.1)])
def test_a_transfer_with_gro_brings_the_same_bytes(faults: Faults) -> None:
    network = Network(seed=4, features=OFFLOADS, faults=faults)
    seen: list[int] = []
    for device in network.devices:
        device.__class__ = Polled
        device.waiting = []  # type: ignore[attr-defined]
        device.set_gro(True)
        original = device.receive
        assert original is not None

        def count(skb: SkBuff, original: Callable[[SkBuff], None] = original) -> None:
            seen.append(skb.gso_segs)
            original(skb)

        device.receive = count
    forth, back = network.engine.random.randbytes(300_000), network.engine.random.randbytes(50_000)
    at_b, at_a, _ = exchange(network, forth, back)
    assert (at_b, at_a) == (forth, back)
    assert max(seen) >= 8


def test_gro_is_off_at_first() -> None:
    network = Network(features=Features.NONE)
    assert all(device._gro is None for device in network.devices)
