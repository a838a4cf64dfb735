"""Lattice ECP5 Versa with an LFE5UM-45F, two 88E1512 PHYs of which the first is used, and an FT2232H whose second
channel is the UART.
"""

from typing import Any

from amaranth_boards.versa_ecp5 import VersaECP5Platform

from hw.boards.board import Board, BoardPorts, LedPorts
from hw.boards.ecp5 import RgmiiPorts

__all__ = ["VersaEcp5"]


class VersaEcp5(Board):
    """The device has 108 block RAMs: with the NIC's own there is room for 64 KiB of host memory."""

    name = "versa_ecp5"
    title = "ECP5 Versa, LFE5UM-45F"
    platform = VersaECP5Platform
    clock_hz = 100e6
    phy_address = 0
    memory_kib = 64
    loader = ("-c", "ft2232")

    def ports(self, platform: Any) -> BoardPorts:
        uart = platform.request("uart", 0, dir="-")
        phy = platform.request("eth_rgmii", 0, dir="-")
        lights = [platform.request("led", number, dir="-") for number in range(5)]
        return BoardPorts(
            clock=platform.request("clk100", 0, dir="-"),
            button=platform.request("rst", 0, dir="-"),
            uart_rx=uart.rx,
            uart_tx=uart.tx,
            rgmii=RgmiiPorts(
                txc=phy.tx_clk,
                tx_ctl=phy.tx_ctl,
                td=phy.tx_data,
                rxc=phy.rx_clk,
                rx_ctl=phy.rx_ctl,
                rd=phy.rx_data,
                tx_delay=2e-9,
                rx_delay=2e-9,
            ),
            mdc=phy.mdc,
            mdio=phy.mdio,
            phy_reset=phy.rst,
            leds=LedPorts(
                link=lights[0],
                activity=lights[1],
                interrupt=lights[2],
                connected=lights[3],
                error=lights[4],
            ),
        )
