"""LambdaConcept ECPIX-5 with an LFE5UM5G-85F, a KSZ9031RNX PHY, and an FT2232H whose second channel is the UART."""

from typing import Any

from amaranth_boards.ecpix5 import ECPIX585Platform

from hw.boards.board import Board, BoardPorts, LedPorts
from hw.boards.ecp5 import RgmiiPorts

__all__ = ["Ecpix5"]


class Ecpix5(Board):
    """The PHY delays RX_CLK itself, by 1.2 ns, and leaves that of GTX_CLK to the MAC (KSZ9031RNX data sheet, 7.1).

    Twice as much host memory would fit, but with nine of ten block RAMs in use the NIC's own lie where there is room.
    """

    name = "ecpix5"
    title = "ECPIX-5, LFE5UM5G-85F"
    platform = ECPIX585Platform
    clock_hz = 100e6
    phy_address = 0
    memory_kib = 128
    loader = ("-b", "ecpix5")

    def ports(self, platform: Any) -> BoardPorts:
        uart = platform.request("uart", 0, dir="-")
        phy = platform.request("eth_rgmii", 0, dir="-")
        lights = [platform.request("rgb_led", number, dir="-") for number in range(3)]
        return BoardPorts(
            clock=platform.request("clk100", 0, dir="-"),
            button=platform.request("rst", 0, dir="-"),
            uart_rx=uart.rx,
            uart_tx=uart.tx,
            rgmii=RgmiiPorts(
                txc=phy.tx_clk,
                tx_ctl=phy.tx_ctrl,
                td=phy.tx_data,
                rxc=phy.rx_clk,
                rx_ctl=phy.rx_ctrl,
                rd=phy.rx_data,
                tx_delay=2e-9,
                rx_delay=0,
            ),
            mdc=phy.mdc,
            mdio=phy.mdio,
            phy_reset=phy.rst,
            leds=LedPorts(
                link=lights[0].g,
                activity=lights[0].b,
                interrupt=lights[1].b,
                connected=lights[2].g,
                error=lights[2].r,
            ),
        )
