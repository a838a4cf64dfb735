"""The whole NIC: each stage of the receive filter, and VLAN tags both ways (manual 3.2.1, 9, 13.4.22)."""

import random
from typing import Any

import cocotb
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from hw.mac.fcs import append_fcs
from hw.nic import Nic
from hw.receive.bit_table import address_hash
from tests.hw.nic_bench import OWN, NicBench
from tests.hw.simulate import simulate

PEER = bytes.fromhex("020000000002")
OTHER = bytes.fromhex("020000000003")
BROADCAST = b"\xff" * 6
GROUP = bytes.fromhex("01aa00123456")
"""The manual's example for the hash; in the table, by RCTL.MO: 563, AC6, 58D, 634."""

FLOW_CONTROL = bytes.fromhex("0180c2000001")
VET, FCT = 0x8100, 0x8808


async def started(dut: Any, **rctl: int) -> NicBench:
    """A bench with VME, VET and the flow control registers as a driver sets them."""
    bench = NicBench(dut)
    await bench.start()
    await bench.open(buffers=250, rctl=rctl)
    await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2, VME=1)
    await bench.write("VET", VET)
    await bench.write("FCT", FCT)
    await bench.write("FCAL", int.from_bytes(FLOW_CONTROL[:4], "little"))
    await bench.write("FCAH", int.from_bytes(FLOW_CONTROL[4:], "little"))
    return bench


async def control(bench: NicBench, **rctl: int) -> None:
    """Write RCTL: EN and these fields."""
    await bench.write_fields("RCTL", **{"EN": 1, **rctl})


def frame(to: bytes, behind: bytes = b"\x88\xb5", length: int = 64) -> bytes:
    """A frame of ``length`` bytes with its FCS: ``behind`` stands after the addresses, then what is random."""
    rest = random.Random(f"{to.hex()} {length}").randbytes(length)
    return append_fcs((to + PEER + behind + rest)[: length - 4])


async def receive(bench: NicBench, whole: bytes, *, error_at: int | None = None) -> tuple[dict[str, int], bytes] | None:
    """What becomes of one frame: its descriptor and bytes, or ``None`` if it is dropped."""
    bench.put(whole, error_at=error_at)
    await bench.settle(300)
    done = bench.received()
    assert len(done) <= 1
    return done[0] if done else None


def spoilt(whole: bytes) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1])


@cocotb.test()
async def lengths_and_errors(dut: Any) -> None:
    """Enabled, length, errors; RCTL.SBP stores what is short or bad, and says what is wrong with it."""
    bench = await started(dut)
    await control(bench, EN=0)
    assert await receive(bench, frame(OWN)) is None
    tag = bytes.fromhex("81000005")
    for lpe, sizes in (
        (0, {63: False, 64: True, 1522: True, 1523: False, 1526: False}),
        (1, {1523: True, 1526: True, 9018: True}),
    ):
        await control(bench, LPE=lpe, BSEX=1, BSIZE=1)
        for length, passes in sizes.items():
            for behind in (b"\x88\xb5", tag):
                got = await receive(bench, frame(OWN, behind, length))
                assert (got is not None) == passes, length
                if got:
                    assert got[0]["length"] == length - 4 * (behind == tag)
    for sbp in (0, 1):
        await control(bench, SBP=sbp)
        bad = await receive(bench, spoilt(frame(OWN)))
        broken = await receive(bench, frame(OWN), error_at=30)
        short = await receive(bench, frame(OWN, length=40))
        assert [got is not None for got in (bad, broken, short)] == [bool(sbp)] * 3
        assert await receive(bench, frame(OWN, tag, 1526)) is None
        assert await receive(bench, spoilt(frame(OTHER))) is None
        if bad and broken and short:
            assert (bad[0]["ce"], bad[0]["rxe"], bad[1]) == (1, 0, spoilt(frame(OWN)))
            assert (broken[0]["ce"], broken[0]["rxe"]) == (0, 1)
            assert (short[0]["ce"], short[0]["rxe"], short[1]) == (0, 0, frame(OWN, length=40))


@cocotb.test()
async def mac_control(dut: Any) -> None:
    """MAC control frames: with CTRL.RFCE pause frames to the station go with RCTL.DPF, those of other opcodes come with
    PMCF; only from the right addresses, of type FCT. Without RFCE they are frames like any other.
    """
    bench = await started(dut)
    pause, other = (bytes.fromhex(text) for text in ("8808000100ff", "8808000200ff"))
    for rfce, fields, to_own, to_group in (
        (1, {}, (True, False), (False, False)),
        (1, {"DPF": 1}, (False, False), (False, False)),
        (1, {"PMCF": 1}, (True, True), (False, True)),
        (1, {"MPE": 1}, (True, False), (True, False)),
        (1, {"MPE": 1, "DPF": 1, "PMCF": 1}, (False, True), (True, True)),
        (0, {"DPF": 1}, (True, True), (False, False)),
        (0, {"MPE": 1, "DPF": 1}, (True, True), (True, True)),
    ):
        await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2, VME=1, RFCE=rfce)
        await control(bench, **fields)
        for to, wanted in ((OWN, to_own), (FLOW_CONTROL, to_group)):
            got = [await receive(bench, frame(to, behind)) for behind in (pause, other)]
            assert tuple(item is not None for item in got) == wanted, (fields, to)
            assert not any(item[0]["pif"] for item in got if item)
    await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2, VME=1, RFCE=1)
    await control(bench, MPE=1, DPF=1)
    assert await receive(bench, frame(GROUP, pause))
    assert await receive(bench, frame(OWN, bytes.fromhex("8809000100ff")))


@cocotb.test()
async def vlan_filter(dut: Any) -> None:
    """VFTA by VLAN identifier alone, CFI if asked for, whatever VME is; untagged frames are not concerned."""
    bench = await started(dut)
    wanted = (0, 5, 0x123, 0xFFF)
    for index in range(128):
        bits = sum(1 << (identifier & 31) for identifier in wanted if identifier >> 5 == index)
        await bench.write("VFTA", bits, index=index)
    for vme in (0, 1):
        await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2, VME=vme)
        for fields in ({}, {"VFE": 1}, {"VFE": 1, "CFIEN": 1}, {"VFE": 1, "CFIEN": 1, "CFI": 1}):
            await control(bench, **fields)
            for identifier in (*wanted, 1, 4, 0x122, 0x125, 0xFFE):
                for upper in (0x0, 0x1, 0xE):
                    passes = not fields or identifier in wanted
                    if fields.get("CFIEN"):
                        passes = passes and upper & 1 == fields.get("CFI", 0)
                    information = upper << 12 | identifier
                    got = await receive(bench, frame(OWN, bytes.fromhex("8100") + information.to_bytes(2, "big")))
                    assert (got is not None) == passes, (fields, hex(information))
                    if got:
                        assert (got[0]["vp"], got[0]["special"]) == ((1, information) if vme else (0, 0))
            assert await receive(bench, frame(OWN))
            assert await receive(bench, frame(OTHER, bytes.fromhex("81000005"))) is None


@cocotb.test()
async def addresses(dut: Any) -> None:
    """UPE, MPE, BAM, the address table, then the hash table with all four offsets."""
    bench = await started(dut)
    for fields, wanted in (({}, "o"), ({"UPE": 1}, "ou"), ({"MPE": 1}, "og"), ({"BAM": 1}, "ob")):
        await control(bench, **fields)
        for letter, to in (("o", OWN), ("u", OTHER), ("g", GROUP), ("b", BROADCAST)):
            got = await receive(bench, frame(to))
            assert (got is not None) == (letter in wanted), (fields, letter)
            assert not got or not got[0]["pif"]
    for offset in range(4):
        place = address_hash(GROUP, offset)
        await control(bench, MO=offset)
        for bit, passes in ((place, True), (place ^ 1, False), (place ^ 32, False)):
            await bench.write("MTA", 1 << (bit & 31), index=bit >> 5)
            got = await receive(bench, frame(GROUP))
            assert (got is not None) == passes, (offset, bit)
            assert not got or got[0]["pif"]
            await bench.write("MTA", 0, index=bit >> 5)
    await bench.write("RAL", int.from_bytes(GROUP[:4], "little"), index=9)
    await bench.write("RAH", int.from_bytes(GROUP[4:], "little") | 1 << 31, index=9)
    got = await receive(bench, frame(GROUP))
    assert got
    assert not got[0]["pif"]
    # Another address select than "destination" does not.
    await bench.write("RAH", int.from_bytes(GROUP[4:], "little") | 1 << 31 | 1 << 16, index=9)
    assert await receive(bench, frame(GROUP)) is None


@cocotb.test()
async def strip(dut: Any) -> None:
    """The outer tag goes to the descriptor; checksums are checked behind it; truncated tags are none."""
    bench = await started(dut, SECRC=1)
    await bench.write_fields("RXCSUM", IPOFL=1, TUOFL=1, PCSS=14)
    ether = {"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02"}
    ip = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / bytes(range(40))
    plain = bytes(Ether(**ether) / ip)
    untagged = await receive(bench, append_fcs(plain))
    tagged = await receive(bench, append_fcs(bytes(Ether(**ether) / Dot1Q(vlan=0x123, prio=5) / ip)))
    assert untagged
    assert tagged
    assert tagged[1] == untagged[1] == plain
    assert (tagged[0]["vp"], tagged[0]["special"]) == (1, 0xA123)
    for name in ("length", "checksum", "ipcs", "ipe", "tcpcs", "tcpe", "ixsm"):
        assert tagged[0][name] == untagged[0][name], name
    assert (tagged[0]["ipcs"], tagged[0]["tcpcs"], tagged[0]["tcpe"]) == (1, 1, 0)
    double = bytes(Ether(**ether) / Dot1Q(vlan=1) / Dot1Q(vlan=2) / ip)
    got = await receive(bench, append_fcs(double))
    assert got
    assert got[1] == bytes(Ether(**ether) / Dot1Q(vlan=2) / ip)
    assert (got[0]["special"], got[0]["ixsm"]) == (1, 1)
    # What is left of the smallest frame is below the minimum, and stored.
    small = await receive(bench, frame(OWN, bytes.fromhex("81000007")))
    assert small
    assert small[0]["length"] == 56
    # Frames that end in, at and behind their tag: RCTL.SBP lets them in, without SECRC they show whole.
    await control(bench, SBP=1)
    for length in range(13, 24):
        whole = (OWN + PEER + bytes.fromhex("81000fed") + bytes(range(8)))[:length]
        got = await receive(bench, whole)
        assert got
        assert got[0]["ce"] == 1
        if length < 16:
            assert (got[1], got[0]["vp"], got[0]["special"]) == (whole, 0, 0)
        else:
            assert (got[1], got[0]["vp"], got[0]["special"]) == (whole[:12] + whole[16:], 1, 0x0FED)
    await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2)
    got = await receive(bench, append_fcs(double))
    assert got
    assert (got[1], got[0]["vp"], got[0]["special"]) == (append_fcs(double), 0, 0)


@cocotb.test()
async def insert(dut: Any) -> None:
    """VLE: the tag of the descriptor with EOP, or with TSO of the first; checksums as without it; minimum length with
    it; FCS in any case; nothing without CTRL.VME.
    """
    bench = await started(dut)
    addresses = PEER + OWN
    for length in (13, 14, 55, 56, 57, 60, 1514):
        data = addresses + random.Random(length).randbytes(length - 12)
        await bench.transmit(bench.legacy(data, vle=1, special=0xA123, ifcs=length & 1))
        await bench.settle()
        tagged = addresses + bytes.fromhex("8100a123") + data[12:]
        assert bench.sent() == [append_fcs(tagged.ljust(60, b"\0"))]
    # The descriptor with EOP decides.
    for first, second in ((0, 1), (1, 0)):
        await bench.transmit(
            bench.legacy(data[:100], eop=0, vle=first, special=1), bench.legacy(data[100:], vle=second, special=2)
        )
        await bench.settle()
        assert bench.sent() == [append_fcs(addresses + bytes.fromhex("81000002") * second + data[12:])]

    ether = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
    whole = ether / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2, seq=7, flags="PA") / bytes(range(250))
    seeded = bytearray(bytes(whole))
    offsets = {"ipcss": 14, "ipcso": 24, "ipcse": 33, "tucss": 34, "tucso": 50, "tcp": 1, "ip": 1}
    pseudo = seeded[26:34] + bytes([0, 6]) + (270).to_bytes(2, "big")
    seeded[24:26] = bytes(2)
    seeded[50:52] = ones_sum(bytes(pseudo)).to_bytes(2, "big")
    await bench.transmit(bench.context(**offsets), bench.data(bytes(seeded), ixsm=1, txsm=1, vle=1, special=0x0FFF))
    await bench.settle()
    assert bench.sent() == [append_fcs(with_tag(bytes(whole), 0x0FFF))]

    # Segmentation: the same tag on each frame, from the first data descriptor.
    seeded[16:18] = bytes(2)
    seeded[50:52] = ones_sum(bytes(pseudo[:10])).to_bytes(2, "big")
    await bench.transmit(
        bench.context(**offsets, tse=1, mss=100, hdrlen=54, paylen=250),
        bench.data(bytes(seeded[:54]), tse=1, ixsm=1, txsm=1, vle=1, special=0x0042, eop=0, rs=0),
        bench.data(bytes(seeded[54:]), tse=1, vle=0, special=0x0666),
    )
    await bench.settle()
    expected = []
    for n, start in enumerate(range(0, 250, 100)):
        header = IP(src="10.0.0.1", dst="10.0.0.2", id=whole[IP].id + n)
        flags = "PA" if start == 200 else "A"
        segment = ether / header / TCP(sport=1, dport=2, seq=7 + start, flags=flags) / bytes(range(250))[start:][:100]
        expected.append(append_fcs(with_tag(bytes(segment), 0x0042)))
    assert bench.sent() == expected

    await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2)
    await bench.transmit(bench.legacy(data, vle=1, special=1))
    await bench.settle()
    assert bench.sent() == [append_fcs(data)]


def with_tag(data: bytes, information: int) -> bytes:
    return data[:12] + bytes.fromhex("8100") + information.to_bytes(2, "big") + data[12:]


def ones_sum(octets: bytes) -> int:
    """One's complement sum of big-endian 16-bit words (RFC 1071)."""
    total = sum(int.from_bytes(octets[place : place + 2], "big") for place in range(0, len(octets), 2))
    return (total & 0xFFFF) + (total >> 16)


def test_nic_vlan() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
