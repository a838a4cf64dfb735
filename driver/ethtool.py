"""ethtool's vocabulary: what can be seen and changed of a device that is there (Linux's e1000_ethtool.c)."""

from typing import TYPE_CHECKING, Final, NamedTuple

from driver.flow_control import FlowControl
from driver.itr import InterruptThrottleRate, ThrottleMode
from driver.parameters import MAXIMUM_DESCRIPTORS, check_descriptors
from driver.wake import LETTERS, letters, parse_wake_on
from stack.net_device import Features

if TYPE_CHECKING:
    from driver.e1000 import E1000

__all__ = [
    "Coalesce",
    "PauseParam",
    "RingParam",
    "coalesce_setting",
    "feature_name",
    "get_coalesce",
    "get_features",
    "get_pauseparam",
    "get_ringparam",
    "get_stats",
    "get_wol",
    "set_coalesce",
    "set_features",
    "set_pauseparam",
    "set_ringparam",
    "set_wol",
]

MINIMUM_ITR_USECS: Final = 10
MAXIMUM_ITR_USECS: Final = 10_000

FEATURES: Final = {
    "rx-checksumming": Features.RXCSUM,
    "tx-checksumming": Features.HW_CSUM,
    "scatter-gather": Features.SG,
    "tcp-segmentation-offload": Features.TSO,
    "generic-segmentation-offload": Features.GSO,
    "rx-vlan-offload": Features.HW_VLAN_CTAG_RX,
    "tx-vlan-offload": Features.HW_VLAN_CTAG_TX,
    "rx-vlan-filter": Features.HW_VLAN_CTAG_FILTER,
}
"""By the names of ``ethtool -k``; further ``generic-receive-offload`` and ``rx-all``."""

SHORT_FEATURES: Final = {
    "rx": "rx-checksumming",
    "tx": "tx-checksumming",
    "sg": "scatter-gather",
    "tso": "tcp-segmentation-offload",
    "gso": "generic-segmentation-offload",
    "gro": "generic-receive-offload",
    "rxvlan": "rx-vlan-offload",
    "txvlan": "tx-vlan-offload",
}
"""What ``ethtool -K`` takes for them too."""

_GRO: Final = "generic-receive-offload"
_RX_ALL: Final = "rx-all"


class Coalesce(NamedTuple):
    """``ethtool -c``."""

    adaptive_rx: bool
    rx_usecs: int
    """0, 1, 3 or 4 is that mode, as Linux has it; else microseconds between interrupts."""


class RingParam(NamedTuple):
    """``ethtool -g``: descriptors."""

    rx_max: int
    tx_max: int
    rx: int
    tx: int


class PauseParam(NamedTuple):
    """``ethtool -a``: what is wanted, and what has come of it."""

    autoneg: bool
    rx: bool
    tx: bool
    rx_active: bool
    tx_active: bool


def get_coalesce(device: "E1000") -> Coalesce:
    """The throttle."""
    itr = device.itr
    if itr.mode is ThrottleMode.FIXED:
        return Coalesce(adaptive_rx=False, rx_usecs=1_000_000 // itr.rate)
    return Coalesce(adaptive_rx=itr.dynamic, rx_usecs=itr.setting)


def set_coalesce(device: "E1000", *, rx_usecs: int | None = None, adaptive_rx: bool | None = None) -> None:
    """Change the throttle: 0 off, 1 and 3 dynamic, 4 simplified, else microseconds between interrupts; ``adaptive_rx``
    is 3, or 0 if the throttle was dynamic. Raises ``ValueError`` for any other value."""
    if adaptive_rx is not None and rx_usecs is None:
        if adaptive_rx is device.itr.dynamic:
            return
        rx_usecs = 3 if adaptive_rx else 0
    if rx_usecs is None:
        return
    setting = coalesce_setting(rx_usecs)
    device.itr = InterruptThrottleRate(setting, literal_figure=device.itr.literal_figure)
    if device.active:
        register = device.itr.configure()
        device.write_itr(0 if register is None else register)


def coalesce_setting(rx_usecs: int) -> int:
    """The driver's parameter InterruptThrottleRate for a value of ``rx-usecs``. Raises ``ValueError``."""
    if rx_usecs in (0, 1, 3, 4):
        return rx_usecs
    if not MINIMUM_ITR_USECS <= rx_usecs <= MAXIMUM_ITR_USECS:
        raise ValueError(f"rx-usecs takes 0, 1, 3, 4 or {MINIMUM_ITR_USECS}..{MAXIMUM_ITR_USECS} us, not {rx_usecs!r}")
    return 1_000_000 // rx_usecs


def feature_name(name: str) -> str:
    """The long name of a feature. Raises ``ValueError`` if there is none."""
    name = SHORT_FEATURES.get(name, name)
    if name not in FEATURES and name not in (_GRO, _RX_ALL):
        raise ValueError(f"there is no feature {name!r}; there are {', '.join([*FEATURES, _GRO, _RX_ALL])}")
    return name


def get_features(device: "E1000") -> dict[str, bool]:
    """``ethtool -k``."""
    features = {name: bool(flag & device.features) for name, flag in FEATURES.items()}
    return features | {_GRO: device.gro, _RX_ALL: device.rx_ring.receive_all}


async def set_features(device: "E1000", changes: dict[str, bool]) -> None:
    """``ethtool -K``. What needs another feature goes with it; the receiver's changes take a reset if the device is up.

    Raises ``ValueError`` for a feature that is not there, or one that needs another that is off.
    """
    wanted = get_features(device)
    named = {feature_name(name): on for name, on in changes.items()}
    wanted |= named
    for name, needed in (
        ("tx-checksumming", "scatter-gather"),
        ("tcp-segmentation-offload", "tx-checksumming"),
        ("tcp-segmentation-offload", "scatter-gather"),
    ):
        if wanted[name] and not wanted[needed]:
            if name in named:
                raise ValueError(f"{name} needs {needed}")
            wanted[name] = False
    before = device.features
    device.features = Features.NONE
    for name, flag in FEATURES.items():
        if wanted[name]:
            device.features |= flag
    if device.gro is not wanted[_GRO]:
        device.set_gro(wanted[_GRO])
    changed = before ^ device.features
    if changed & (Features.HW_VLAN_CTAG_RX | Features.HW_VLAN_CTAG_FILTER):
        device.filters.vlans_changed()
    if changed & Features.RXCSUM or device.rx_ring.receive_all is not wanted[_RX_ALL]:

        def change() -> None:
            device.rx_ring.checksum = Features.RXCSUM in device.features
            device.rx_ring.receive_all = wanted[_RX_ALL]

        await device.reinit(change)


def get_ringparam(device: "E1000") -> RingParam:
    """``ethtool -g``."""
    return RingParam(
        rx_max=MAXIMUM_DESCRIPTORS,
        tx_max=MAXIMUM_DESCRIPTORS,
        rx=device.rx_ring.ring.count,
        tx=device.tx_ring.ring.count,
    )


async def set_ringparam(device: "E1000", *, rx: int | None = None, tx: int | None = None) -> None:
    """``ethtool -G``, with a reset if the device is up. What is not sent yet stays.

    Raises ``ValueError`` for a count that a ring cannot have, ``MemoryError`` if there is no room; the old ring stays.
    """
    rx = device.rx_ring.ring.count if rx is None else rx
    tx = device.tx_ring.ring.count if tx is None else tx
    check_descriptors("rx", rx)
    check_descriptors("tx", tx)
    if (rx, tx) == (device.rx_ring.ring.count, device.tx_ring.ring.count):
        return
    failed: MemoryError | None = None

    def change() -> None:
        nonlocal failed
        try:
            device.rx_ring.resize(rx, allocated=device.up)
            device.tx_ring.resize(tx, allocated=device.up)
        except MemoryError as error:
            failed = error

    await device.reinit(change)
    if failed is not None:
        raise failed


async def get_stats(device: "E1000") -> dict[str, int]:
    """``ethtool -S``: Linux's names, from the device's counters, brought up to date, and the driver's own."""
    await device.statistics.update_stats()
    total = device.statistics.totals
    stats, counters = device.stats, device.counters
    frame_errors = total["RXERRC"] + total["CRCERRS"] + total["ALGNERRC"] + total["CEXTERR"]
    lengths = total["RUC"] + total["ROC"]
    return {
        "rx_packets": total["GPRC"],
        "tx_packets": total["GPTC"],
        "rx_bytes": total["GORC"],
        "tx_bytes": total["GOTC"],
        "rx_broadcast": total["BPRC"],
        "tx_broadcast": total["BPTC"],
        "rx_multicast": total["MPRC"],
        "tx_multicast": total["MPTC"],
        "rx_errors": frame_errors + lengths,
        "tx_errors": total["ECOL"] + total["LATECOL"],
        "tx_dropped": stats.tx_dropped,
        "multicast": total["MPRC"],
        "collisions": total["COLC"],
        "rx_length_errors": lengths,
        "rx_crc_errors": total["CRCERRS"],
        "rx_frame_errors": total["ALGNERRC"],
        "rx_no_buffer_count": total["RNBC"],
        "rx_missed_errors": total["MPC"],
        "tx_aborted_errors": total["ECOL"],
        "tx_carrier_errors": total["TNCRS"],
        "tx_window_errors": total["LATECOL"],
        "tx_deferred_ok": total["DC"],
        "tx_single_coll_ok": total["SCC"],
        "tx_multi_coll_ok": total["MCC"],
        "tx_timeout_count": counters.tx_hangs,
        "tx_restart_queue": counters.tx_queue_wakes,
        "rx_long_length_errors": total["ROC"],
        "rx_short_length_errors": total["RUC"],
        "rx_align_errors": total["ALGNERRC"],
        "tx_tcp_seg_good": total["TSCTC"],
        "tx_tcp_seg_failed": total["TSCTFC"],
        "rx_flow_control_xon": total["XONRXC"],
        "rx_flow_control_xoff": total["XOFFRXC"],
        "tx_flow_control_xon": total["XONTXC"],
        "tx_flow_control_xoff": total["XOFFTXC"],
        "rx_csum_offload_good": counters.rx_csum_good,
        "rx_csum_offload_errors": counters.rx_csum_errors,
        "tx_smbus": total["MGTPTC"],
        "rx_smbus": total["MGTPRC"],
        "dropped_smbus": total["MGTPDC"],
    }


def get_wol(device: "E1000") -> tuple[str, str]:
    """``ethtool eth0``: what could wake the host, and what does, in letters."""
    return "".join(LETTERS), letters(device.wake_on)


def set_wol(device: "E1000", wol: str) -> None:
    """``ethtool -s ... wol``; takes effect with the next ``driver.power.suspend``. Raises ``ValueError`` for a letter
    that is none."""
    device.wake_on = parse_wake_on(wol)


def get_pauseparam(device: "E1000") -> PauseParam:
    """``ethtool -a``."""
    wanted = device.flow_control
    return PauseParam(wanted.autonegotiate, wanted.rx, wanted.tx, *device.pause)


async def set_pauseparam(
    device: "E1000", *, autoneg: bool | None = None, rx: bool | None = None, tx: bool | None = None
) -> None:
    """``ethtool -A``. Raises ``OSError`` (EIO) if the PHY, which an offer needs, does not answer."""
    old = device.flow_control
    await device.set_flow_control(
        FlowControl(
            autonegotiate=old.autonegotiate if autoneg is None else autoneg,
            rx=old.rx if rx is None else rx,
            tx=old.tx if tx is None else tx,
        )
    )
