"""The transmit ring on the behavioural device."""

from itertools import pairwise

import pytest

from driver.transmit import TX_WAKE_THRESHOLD
from hw.descriptors import TRANSMIT_DATA, TRANSMIT_LEGACY
from hw.registers import BY_NAME
from stack.net_device import NetdevTx
from stack.skbuff import SkBuff
from tests.driver.rig import Rig, frame, gso, partial, tcp_packet, udp_packet
from tests.driver.test_offload import segments_by_scapy


def test_plain_frame_takes_one_legacy_descriptor() -> None:
    async def main() -> None:
        nic = await rig.up()
        rig.bus.accesses.clear()
        nic.queue_xmit(rig.skb(frame(100)))
        await rig.env.sleep(10_000)
        assert rig.bus.writes("TDT") == [1]
        ((kind, fields),) = rig.device.descriptors
        assert kind == "transmit legacy"
        assert {name: value for name, value in fields.items() if value and name != "address"} == {
            "length": 100,
            "eop": 1,
            "ifcs": 1,
            "rs": 1,
            "ide": 1,
        }

    rig = Rig()
    rig.run(main())


def test_the_packet_is_consumed_when_it_has_been_sent_and_not_before() -> None:
    async def main() -> None:
        nic = await rig.up()
        rig.device.allow(0)
        before = rig.memory.allocated()
        nic.queue_xmit(rig.skb(frame(100)))
        await rig.settled()
        rig.device.cause("TXDW")
        await rig.settled()
        assert rig.consumed == []
        rig.device.allow(None)
        await rig.settled()
        assert len(rig.consumed) == 1
        assert rig.memory.allocated() == before
        assert (nic.stats.tx_packets, nic.stats.tx_bytes, nic.counters.tx_octets) == (1, 100, 104)

    rig = Rig()
    rig.run(main())


def test_checksum_takes_a_context_and_a_data_descriptor_for_each_packet() -> None:
    async def main() -> None:
        nic = await rig.up()
        data, fields = partial(udp_packet(bytes(500)))
        for _ in range(2):
            nic.queue_xmit(rig.skb(data, **fields))
        await rig.settled()
        assert [kind for kind, _ in rig.device.descriptors] == ["transmit context", "transmit data"] * 2
        _, fields = rig.device.descriptors[1]
        assert {name: value for name, value in fields.items() if value and name != "address"} == {
            "dtalen": 542,
            "dtyp": 1,
            "eop": 1,
            "ifcs": 1,
            "rs": 1,
            "ide": 1,
            "dext": 1,
            "txsm": 1,
        }
        assert nic.counters.tx_contexts == 2
        assert nic.counters.tx_descriptors == 4

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize(("size", "mss"), [(64000, 1460), (4000, 1460), (65000, 536), (10, 5), (3000, 1460)])
def test_tso_descriptors(size: int, mss: int) -> None:
    async def main() -> None:
        nic = await rig.up()
        packet = tcp_packet(bytes(i % 251 for i in range(size)))
        data, fields = gso(packet, mss)
        nic.queue_xmit(rig.skb(data, **fields))
        await rig.settled(3_000_000)
        (kind, context), *pieces = rig.device.descriptors
        assert (kind, context["mss"]) == ("transmit context", mss)
        lengths = [piece["dtalen"] for _, piece in pieces]
        assert sum(lengths) == len(data)
        assert lengths[-1] == 4
        assert max(lengths) <= min(4096, 4 * mss)
        assert len(lengths) == -(-(len(data) - 4) // min(4096, 4 * mss)) + 1
        assert all(piece["tse"] and piece["ixsm"] and piece["txsm"] and piece["ifcs"] for _, piece in pieces)
        assert [piece["eop"] for _, piece in pieces] == [piece["rs"] for _, piece in pieces]
        assert [piece["eop"] for _, piece in pieces] == [piece["ide"] for _, piece in pieces]
        assert not context["ide"]
        assert [piece["eop"] for _, piece in pieces] == [0] * (len(pieces) - 1) + [1]
        frames = segments_by_scapy(packet, mss)
        assert rig.device.sent == frames
        counters = nic.counters
        assert (counters.tso_packets, counters.tso_segments) == (1, len(frames))
        assert counters.tso_descriptors == counters.tx_descriptors == len(pieces) + 1
        assert counters.tx_octets == sum(max(len(item), 60) + 4 for item in frames)
        assert nic.stats.tx_packets == len(frames)
        assert nic.stats.tx_bytes == sum(map(len, frames))
        assert len(rig.consumed) == 1

    rig = Rig()
    rig.run(main())


def test_tiny_segments_fit_into_the_smallest_ring() -> None:
    """Pieces of four segments would take more descriptors than the ring has."""

    async def main() -> None:
        nic = await rig.up(tx_descriptors=80)
        data, fields = gso(tcp_packet(bytes(65000)), 48)
        nic.queue_xmit(rig.skb(data, **fields))
        await rig.settled(3_000_000)
        assert len(rig.device.sent) == -(-65000 // 48)
        assert nic.counters.tx_descriptors <= 42

    rig = Rig()
    rig.run(main())


def test_the_packet_after_tso_is_split() -> None:
    async def main() -> None:
        nic = await rig.up()
        data, fields = gso(tcp_packet(bytes(3000)), 1460)
        nic.queue_xmit(rig.skb(data, **fields))
        for number in range(2):
            nic.queue_xmit(rig.skb(frame(100, number)))
        await rig.settled()
        lengths = [fields["length"] for kind, fields in rig.device.descriptors if kind == "transmit legacy"]
        assert lengths == [96, 4, 100]
        assert rig.device.sent[-2:] == [frame(100, 0), frame(100, 1)]

    rig = Rig()
    rig.run(main())


def test_full_ring_stops_and_wakes_the_queue() -> None:
    async def main() -> None:
        nic = await rig.up(tx_descriptors=80)
        rig.device.allow(0)
        for number in range(200):
            nic.queue_xmit(rig.skb(frame(60, number)))
        await rig.settled()
        assert nic.queue_stopped()
        assert nic.counters.tx_queue_stops == 1
        assert nic.counters.tx_descriptors == 80 - 1 - 23
        rig.device.allow(None)
        await rig.settled(2_000_000)
        assert rig.device.sent == [frame(60, number) for number in range(200)]
        assert not nic.queue_stopped()
        assert nic.counters.tx_queue_wakes >= 2
        assert len(rig.consumed) == 200

    rig = Rig()
    rig.run(main())


def test_the_queue_is_not_woken_for_a_few_descriptors() -> None:
    async def main() -> None:
        nic = await rig.up(tx_descriptors=80)
        rig.device.allow(0)
        for number in range(70):
            nic.queue_xmit(rig.skb(frame(60, number)))
        await rig.settled()
        ring = nic.tx_ring.ring
        assert ring.unused() == 23
        rig.device.allow(TX_WAKE_THRESHOLD - 1 - 23)
        await rig.settled()
        assert (ring.unused(), nic.queue_stopped(), nic.counters.tx_queue_wakes) == (31, True, 0)
        rig.device.allow(1)
        await rig.settled()
        # The queue was woken with 32 unused, and has filled the ring up to its mark again.
        assert (ring.unused(), nic.queue_stopped(), nic.counters.tx_queue_wakes) == (23, True, 1)

    rig = Rig()
    rig.run(main())


def test_busy_leaves_the_packet_with_the_queue() -> None:
    async def main() -> None:
        nic = await rig.up(tx_descriptors=80)
        rig.device.allow(0)
        data, fields = gso(tcp_packet(bytes(60000)), 1460)
        answers = [nic.start_xmit(rig.skb(data, **fields)) for _ in range(5)]
        assert answers == [NetdevTx.OK] * 4 + [NetdevTx.BUSY]
        assert nic.queue_stopped()
        assert nic.counters.tso_packets == 4
        assert rig.consumed == []

    rig = Rig()
    rig.run(main())


def test_order_survives_many_turns_of_the_ring() -> None:
    async def main() -> None:
        nic = await rig.up(tx_descriptors=80)
        expected = []
        for number in range(300):
            if number % 7 == 0:
                packet = tcp_packet(number.to_bytes(4, "big") * 1000)
                data, fields = gso(packet, 1460)
                nic.queue_xmit(rig.skb(data, **fields))
                expected += segments_by_scapy(packet, 1460)
            else:
                nic.queue_xmit(rig.skb(frame(60 + number, number)))
                expected.append(frame(60 + number, number))
            await rig.env.sleep(2000)
        await rig.settled(3_000_000)
        assert nic.counters.tx_descriptors > 4 * 80
        assert rig.device.sent == expected
        assert len(rig.consumed) == len({id(skb) for skb in rig.consumed}) == 300
        assert rig.device.get("TDH") == rig.device.get("TDT") == nic.tx_ring.ring.next_to_use

    rig = Rig()
    rig.run(main())


def test_a_packet_that_cannot_be_mapped_is_dropped() -> None:
    async def main() -> None:
        nic = await rig.up()
        hogs = rig.fill_memory()
        nic.queue_xmit(rig.skb(frame(1000)))
        assert (nic.stats.tx_dropped, nic.stats.tx_errors, len(rig.consumed)) == (1, 0, 1)
        for address in hogs:
            rig.memory.free(address)
        nic.queue_xmit(rig.skb(frame(1000)))
        await rig.settled()
        assert rig.device.sent == [frame(1000)]

    rig = Rig()
    rig.run(main())


def test_time_passes_between_packets_cleaned() -> None:
    async def main() -> None:
        nic = await rig.up()
        times: list[int] = []
        rig.device.allow(0)
        for number in range(5):
            nic.queue_xmit(SkBuff(frame(60, number), destructor=lambda _: times.append(rig.env.now)))
        await rig.settled()
        rig.device.write(BY_NAME["IMC"].offset, 0xFFFFFFFF)
        rig.device.allow(None)
        await rig.settled()
        rig.device.write(BY_NAME["IMS"].offset, 0x9D)
        await rig.settled()
        assert [later - earlier for earlier, later in pairwise(times)] == [rig.cpu.costs.driver_tx] * 4

    rig = Rig()
    rig.run(main())


def test_descriptors_cost_time() -> None:
    async def main() -> None:
        nic = await rig.up()
        costs = rig.cpu.costs
        await rig.cpu.settle()
        start = rig.cpu.now
        nic.queue_xmit(rig.skb(frame(100)))
        assert rig.cpu.now - start == costs.driver_tx + costs.mmio_write
        data, fields = partial(udp_packet(b"x"))
        start = rig.cpu.now
        nic.queue_xmit(rig.skb(data, **fields))
        assert rig.cpu.now - start == 2 * costs.driver_tx + costs.mmio_write

    rig = Rig()
    rig.run(main())


def test_command_bits_of_both_formats_lie_at_the_same_places() -> None:
    """The ring marks the last descriptor without asking which format it has."""
    for name in ("eop", "ifcs", "rs", "dext", "ide", "dd"):
        assert TRANSMIT_LEGACY.fields[name] == TRANSMIT_DATA.fields[name]
    assert TRANSMIT_LEGACY.fields["length"][0] == TRANSMIT_DATA.fields["dtalen"][0] == 64
