"""The whole NIC, first of all: one frame each way, and what software sees of them."""

from typing import Any

import cocotb

from hw.mac.fcs import append_fcs
from hw.nic import Nic
from hw.registers import BY_NAME
from tests.hw.nic_bench import OWN, NicBench
from tests.hw.simulate import simulate

PEER = bytes.fromhex("020000000002")


@cocotb.test()
async def one_frame_each_way(dut: Any) -> None:
    bench = NicBench(dut)
    await bench.start()
    await bench.open()
    await bench.read("ICR")  # the link came up
    await bench.write("IMS", BY_NAME["IMS"].mask("RXT0", "TXDW"))
    outgoing = PEER + OWN + bytes(range(100))
    await bench.transmit(bench.legacy(outgoing))
    await bench.settle()
    assert bench.sent() == [append_fcs(outgoing)]
    assert bench.octets(0x1_0000 + 12, 1) == b"\x01"
    assert await bench.read("TDH") == await bench.read("TDT") == 1
    assert await bench.read("ICR") == BY_NAME["ICR"].mask("TXDW", "TXQE", "TXD_LOW")
    incoming = OWN + PEER + bytes(range(50, 150))
    bench.send(incoming)
    await bench.settle()
    ((fields, data),) = bench.received()
    assert data == append_fcs(incoming)
    assert (fields["length"], fields["eop"]) == (len(data), 1)
    assert await bench.read("ICR") == BY_NAME["ICR"].mask("RXT0")
    assert len(bench.rises) == len(bench.falls) == 2


def test_nic() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
