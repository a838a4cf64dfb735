"""What the stages of the receive path tell one another, and which register fields they need (manual 13.4.22 RCTL).

Field names are those of the manual in lower case.
"""

from amaranth.lib import data

__all__ = ["ChecksumControl", "Drops", "MacControl", "ReceiveControl", "ReceiveInfo", "TypeControl", "WakeVerdict"]

ReceiveControl = data.StructLayout(
    {
        "en": 1,
        "sbp": 1,
        "upe": 1,
        "mpe": 1,
        "lpe": 1,
        "rdmts": 2,
        "mo": 2,
        "bam": 1,
        "bsize": 2,
        "vfe": 1,
        "cfien": 1,
        "cfi": 1,
        "dpf": 1,
        "pmcf": 1,
        "bsex": 1,
        "secrc": 1,
    }
)
"""Fields of RCTL."""

ChecksumControl = data.StructLayout({"pcss": 8, "ipofl": 1, "tuofl": 1})
"""Fields of RXCSUM."""

TypeControl = data.StructLayout({"vme": 1, "rfce": 1, "vet": 16, "fct": 16, "fca": 48})
"""By what VLAN and MAC control frames are told: CTRL.VME and RFCE, VET, FCT, and FCAL with FCAH above it."""

MacControl = data.StructLayout({"xon": 1, "xoff": 1, "unsupported": 1})
"""What a MAC control frame is: a pause frame with time 0 (XONRXC) or another (XOFFRXC), or one of an opcode that is not
PAUSE (FCRUC)."""

ReceiveInfo = data.StructLayout(
    {
        "length": 15,
        "checksum": 16,
        "ixsm": 1,
        "ipcs": 1,
        "ipe": 1,
        "tcpcs": 1,
        "tcpe": 1,
        "ce": 1,
        "rxe": 1,
        "pif": 1,
        "vp": 1,
        "special": 16,
    }
)
"""What is known of a frame in the buffer: its length in bytes as stored, and what its descriptor will say."""

Drops = data.StructLayout(
    {
        "overrun": 1,
        "mac_control": 1,
        "vlan": 1,
        "no_match": 1,
        "undersize": 1,
        "fragment": 1,
        "oversize": 1,
        "jabber": 1,
        "rx_error": 1,
        "crc_error": 1,
    }
)
"""Why a frame was dropped, at most one of them, the first that holds: cut short since words came faster than they were
taken (MPC), a MAC control frame (RCTL.DPF and PMCF), a VLAN that is not wanted, not for this station, too short with a
good (``undersize``, RUC) or bad CRC (``fragment``, RFC), too long with a good (``oversize``, ROC) or bad CRC
(``jabber``, RJC), RX_ER (RXERRC), bad CRC (CRCERRS)."""

WakeVerdict = data.StructLayout({"passes": 1, "broadcast": 1, "exact": 1, "multicast": 1})
"""What the filter says of a frame to the wake-up unit, whether the receiver is on or not. ``passes``: without error, of
legal length and wanted, even if RCTL.SBP would let others in; ``broadcast``: to the broadcast address, and wanted if
RCTL.BAM were set. Of those that pass: ``exact``, to an address in the address table; ``multicast``, to a group other
than broadcast, which the multicast table or RCTL.MPE wants (drivers set MPE to be woken by any multicast)."""
