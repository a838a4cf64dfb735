"""The receive ring on the behavioural device."""

import pytest
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

from driver.receive import RX_BUFFER_WRITE
from hw.descriptors import RECEIVE
from stack.napi import NAPI_WEIGHT
from stack.skbuff import IpSummed
from tests.driver.rig import Rig, frame, tcp_packet, udp_packet


def test_a_frame_arrives_without_its_fcs() -> None:
    async def main() -> None:
        nic = await rig.up()
        rig.device.receive(frame(100))
        await rig.settled()
        (skb,) = rig.received
        assert type(skb.data) is bytes
        assert skb.data == frame(100)
        assert skb.dev is nic
        assert skb.ip_summed is IpSummed.NONE
        assert (nic.stats.rx_packets, nic.stats.rx_bytes, nic.counters.rx_octets) == (1, 100, 104)

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("size", [60, 61, 1513, 1514, 1518])
def test_sizes(size: int) -> None:
    async def main() -> None:
        await rig.up()
        rig.device.receive(frame(size))
        await rig.settled()
        assert [skb.data for skb in rig.received] == [frame(size)]

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize(
    ("status", "summed", "good", "wrong"),
    [
        ({"tcpcs": 1}, IpSummed.UNNECESSARY, 1, 0),
        ({"tcpcs": 1, "ipcs": 1}, IpSummed.UNNECESSARY, 1, 0),
        ({"tcpcs": 0}, IpSummed.NONE, 0, 0),
        ({"tcpcs": 1, "tcpe": 1}, IpSummed.NONE, 0, 1),
        ({"tcpcs": 0, "tcpe": 1}, IpSummed.NONE, 0, 1),
        ({"tcpcs": 1, "ixsm": 1}, IpSummed.NONE, 0, 0),
        ({"tcpcs": 1, "tcpe": 1, "ixsm": 1}, IpSummed.NONE, 0, 0),
    ],
)
@pytest.mark.parametrize("offload", [True, False])
def test_checksum_status(status: dict[str, int], summed: IpSummed, good: int, wrong: int, offload: bool) -> None:
    async def main() -> None:
        nic = await rig.up(rx_checksum=offload)
        rig.device.receive(frame(100), **({"ixsm": 0, "tcpcs": 0, "tcpe": 0} | status))
        await rig.settled()
        (skb,) = rig.received
        counted = (nic.counters.rx_csum_good, nic.counters.rx_csum_errors)
        assert (skb.ip_summed, *counted) == ((summed, good, wrong) if offload else (IpSummed.NONE, 0, 0))
        assert nic.stats.rx_errors == 0

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("offload", [True, False])
def test_checksums_of_real_packets(offload: bool) -> None:
    async def main() -> None:
        nic = await rig.up(rx_checksum=offload)
        # What the driver says: behind the taps GRO checks TCP by itself.
        summed: list[IpSummed] = []
        nic.taps.append(lambda skb: summed.append(skb.ip_summed))
        assert rig.device.has("RXCSUM", "TUOFL") is offload
        wrong = Ether(bytes(tcp_packet(b"damaged")))
        wrong[TCP].chksum ^= 1
        for packet in (tcp_packet(b"good"), udp_packet(b"good too"), wrong):
            rig.device.receive(bytes(packet))
        await rig.settled()
        checked = IpSummed.UNNECESSARY if offload else IpSummed.NONE
        assert summed == [checked, checked, IpSummed.NONE]

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("error", ["ce", "se", "seq", "cxe", "rxe"])
def test_error_frames_are_counted_and_dropped(error: str) -> None:
    async def main() -> None:
        nic = await rig.up()
        rig.device.receive(frame(100, 1), **{error: 1})
        rig.device.receive(frame(100, 2))
        await rig.settled()
        assert [skb.data for skb in rig.received] == [frame(100, 2)]
        assert nic.stats.rx_errors == 1
        assert nic.stats.rx_crc_errors == (error == "ce")
        assert (nic.stats.rx_packets, nic.counters.rx_octets) == (1, 104)

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("error", ["ipe", "tcpe"])
def test_checksum_errors_are_left_to_the_stack(error: str) -> None:
    async def main() -> None:
        nic = await rig.up()
        rig.device.receive(frame(100), **{"ixsm": 0, "tcpcs": 1, error: 1})
        await rig.settled()
        assert len(rig.received) == 1
        assert nic.stats.rx_errors == 0

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("length", [0, 4, 17, 2049, 65535])
def test_impossible_lengths(length: int) -> None:
    """A device that lies about a length must not make the driver read beyond the buffer, or deliver nonsense."""

    async def main() -> None:
        nic = await rig.up()
        rig.device.receive(frame(100, 1), length=length)
        rig.device.receive(frame(100, 2))
        await rig.settled()
        assert [skb.data for skb in rig.received] == [frame(100, 2)]
        assert (nic.stats.rx_errors, nic.stats.rx_length_errors) == (1, 1)

    rig = Rig()
    rig.run(main())


def test_a_packet_without_end_is_given_up() -> None:
    async def main() -> None:
        nic = await rig.up()
        for number in range(40):
            rig.device.receive(frame(1500, number), eop=0)
        rig.device.receive(frame(100, 98))
        rig.device.receive(frame(100, 99))
        await rig.settled()
        assert [skb.data for skb in rig.received] == [frame(100, 99)]
        assert (nic.stats.rx_errors, nic.stats.rx_length_errors) == (1, 1)

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("buffer_size", [256, 512, 1024, 2048, 4096, 8192, 16384])
def test_a_long_frame_takes_several_buffers(buffer_size: int) -> None:
    async def main() -> None:
        nic = await rig.up(rx_buffer_size=buffer_size, rx_descriptors=80)
        around = [buffer_size - 5, buffer_size - 4, buffer_size - 3]
        longest = 16384 - 4
        frames = [frame(size, size) for size in (60, *around, 1514, 100) if size <= longest]
        for item in frames:
            assert rig.device.receive(item)
            await rig.env.sleep(5000)
        await rig.settled()
        assert [skb.data for skb in rig.received] == frames
        assert nic.counters.rx_octets == sum(len(item) + 4 for item in frames)
        await nic.stop()
        assert rig.memory.allocated() == 0

    rig = Rig()
    rig.run(main())


def test_buffers_go_back_sixteen_at_a_time() -> None:
    async def main() -> None:
        await rig.up()
        rig.bus.accesses.clear()
        for number in range(40):
            rig.device.receive(frame(60, number))
        await rig.settled()
        # 254 given first; then 16, 16 and the rest of the poll.
        assert rig.bus.writes("RDT") == [(254 + 16) % 256, (254 + 32) % 256, (254 + 40) % 256]
        assert RX_BUFFER_WRITE == 16

    rig = Rig()
    rig.run(main())


def test_many_turns_of_the_ring() -> None:
    async def main() -> None:
        nic = await rig.up(rx_descriptors=80)
        for number in range(500):
            assert rig.device.receive(frame(60 + number, number))
            await rig.env.sleep(2500)
        await rig.settled()
        assert [skb.data for skb in rig.received] == [frame(60 + number, number) for number in range(500)]
        ring = nic.rx_ring.ring
        assert rig.device.get("RDH") == ring.next_to_clean == 500 % 80
        assert (rig.device.get("RDT") + 1) % 80 == ring.next_to_use
        assert ring.unused() == 0

    rig = Rig()
    rig.run(main())


def test_a_ring_used_up_recovers() -> None:
    """More frames at once than there are buffers: the rest is missed, none is delivered twice."""

    async def main() -> None:
        await rig.up(rx_descriptors=80)
        for burst in range(5):
            stored = [rig.device.receive(frame(60, 100 * burst + number)) for number in range(100)]
            assert stored == [True] * 78 + [False] * 22
            await rig.settled()
        expected = [frame(60, 100 * burst + number) for burst in range(5) for number in range(78)]
        assert [skb.data for skb in rig.received] == expected

    rig = Rig()
    rig.run(main())


def test_a_poll_stops_at_its_budget_and_goes_on_without_an_interrupt() -> None:
    async def main() -> None:
        nic = await rig.up()
        interrupts, polls = nic.counters.interrupts, nic.counters.polls
        nic.counters.packets_per_poll.clear()
        for number in range(150):
            rig.device.receive(frame(60, number))
        await rig.settled()
        assert len(rig.received) == 150
        assert nic.counters.interrupts - interrupts == 1
        assert nic.counters.polls - polls == 3
        assert nic.counters.packets_per_poll == {NAPI_WEIGHT: 2, 150 - 2 * NAPI_WEIGHT: 1}

    rig = Rig()
    rig.run(main())


def test_a_budget_used_up_exactly() -> None:
    async def main() -> None:
        nic = await rig.up()
        nic.counters.packets_per_poll.clear()
        rig.bus.accesses.clear()
        for number in range(NAPI_WEIGHT):
            rig.device.receive(frame(60, number))
        await rig.settled()
        assert nic.counters.packets_per_poll == {NAPI_WEIGHT: 1, 0: 1}
        assert len(rig.bus.writes("IMS")) == 1, "interrupts come on when the second poll has found nothing"
        rig.device.receive(frame(60))
        await rig.settled()
        assert len(rig.received) == NAPI_WEIGHT + 1

    rig = Rig()
    rig.run(main())


def test_time_passes_between_packets() -> None:
    """Each packet's descriptor is looked at when the processor gets to it: frames of meanwhile join the poll."""

    async def main() -> None:
        nic = await rig.up()
        nic.counters.packets_per_poll.clear()
        for number in range(20):
            rig.device.receive(frame(60, number))
        await rig.until(lambda: len(rig.received) >= 5)
        for number in range(20, 30):
            rig.device.receive(frame(60, number))
        await rig.until(lambda: len(rig.received) == 30)
        assert nic.counters.packets_per_poll[30] == 1 or nic.counters.packets_per_poll == {}
        await rig.settled()
        assert nic.counters.packets_per_poll[30] == 1

    rig = Rig()
    rig.run(main())


def test_length_is_the_lowest_field_of_the_upper_half() -> None:
    assert RECEIVE.fields["length"] == (64, 16)
