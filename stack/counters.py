"""What the stack counts: MIB objects by their SNMP names, and the reasons for which packets were dropped."""

from enum import Enum
from typing import Final

__all__ = ["MIB_NAMES", "Counters", "DropReason"]

MIB_NAMES: Final = (
    # RFC 4293, ipSystemStats, and Linux's ReasmOverlaps
    *(
        f"{family}.{name}"
        for family in ("Ip", "Ip6")
        for name in (
            "InReceives",
            "InHdrErrors",
            "InTooBigErrors",
            "InNoRoutes",
            "InAddrErrors",
            "InUnknownProtos",
            "InTruncatedPkts",
            "InDelivers",
            "InMcastPkts",
            "InBcastPkts",
            "OutForwDatagrams",
            "OutRequests",
            "OutDiscards",
            "OutNoRoutes",
            "ReasmTimeout",
            "ReasmReqds",
            "ReasmOKs",
            "ReasmFails",
            "ReasmOverlaps",
            "FragOKs",
            "FragFails",
            "FragCreates",
        )
    ),
    # RFC 4293, icmpStats and icmpMsgStats by name, as Linux shows them
    "Icmp.InErrors",
    "Icmp.InCsumErrors",
    "Icmp.OutRateLimitHost",
    "Icmp6.InErrors",
    "Icmp6.InCsumErrors",
    "Icmp6.OutRateLimitHost",
    *(
        f"Icmp.{direction}{name}"
        for direction in ("In", "Out")
        for name in ("Msgs", "DestUnreachs", "TimeExcds", "ParmProbs", "Redirects", "Echos", "EchoReps")
    ),
    *(
        f"Icmp6.{direction}{name}"
        for direction in ("In", "Out")
        for name in (
            "Msgs",
            "DestUnreachs",
            "PktTooBigs",
            "TimeExcds",
            "ParmProblems",
            "Echos",
            "EchoReplies",
            "RouterSolicits",
            "RouterAdvertisements",
            "GroupMembQueries",
            "MLDv2Reports",
            "NeighborSolicits",
            "NeighborAdvertisements",
            "Redirects",
        )
    ),
    # RFC 4113, and Linux's additions
    "Igmp.InMsgs",
    "Igmp.InErrors",
    "Igmp.OutMsgs",
    "Udp.InDatagrams",
    "Udp.NoPorts",
    "Udp.InErrors",
    "Udp.OutDatagrams",
    "Udp.RcvbufErrors",
    "Udp.InCsumErrors",
    # RFC 4022, and Linux's additions
    "Tcp.ActiveOpens",
    "Tcp.PassiveOpens",
    "Tcp.AttemptFails",
    "Tcp.EstabResets",
    "Tcp.CurrEstab",
    "Tcp.InSegs",
    "Tcp.OutSegs",
    "Tcp.RetransSegs",
    "Tcp.InErrs",
    "Tcp.OutRsts",
    "Tcp.InCsumErrors",
    # Linux's TcpExt
    "TcpExt.ListenOverflows",
    "TcpExt.ListenDrops",
    "TcpExt.DelayedACKs",
    "TcpExt.TCPAckCompressed",
    "TcpExt.TCPTimeouts",
    "TcpExt.TCPRenoRecovery",
    "TcpExt.TCPSackRecovery",
    "TcpExt.TCPRenoRecoveryFail",
    "TcpExt.TCPSackRecoveryFail",
    "TcpExt.TCPSACKReneging",
    "TcpExt.TCPSACKDiscard",
    "TcpExt.TCPDSACKRecv",
    "TcpExt.TCPSlowStartRetrans",
    "TcpExt.TCPLostRetransmit",
    "TcpExt.TCPFullUndo",
    "TcpExt.TCPPartialUndo",
    "TcpExt.TCPDSACKUndo",
    "TcpExt.TCPLossUndo",
    "TcpExt.TCPSpuriousRTOs",
    "TcpExt.TCPLossProbes",
    "TcpExt.TCPLossProbeRecovery",
    "TcpExt.TCPKeepAlive",
    "TcpExt.TCPFastOpenActive",
    "TcpExt.TCPFastOpenActiveFail",
    "TcpExt.TCPFastOpenPassive",
    "TcpExt.TCPFastOpenPassiveFail",
    "TcpExt.TCPFastOpenPassiveAltKey",
    "TcpExt.TCPFastOpenCookieReqd",
    "TcpExt.TCPFastOpenListenOverflow",
    "TcpExt.TCPFastOpenBlackhole",
    "TcpExt.OutOfWindowIcmps",
    "TcpExt.PAWSActive",
    "TcpExt.PAWSEstab",
    "TcpExt.SyncookiesSent",
    "TcpExt.SyncookiesRecv",
    "TcpExt.SyncookiesFailed",
    "TcpExt.TCPReqQFullDoCookies",
    "TcpExt.TCPReqQFullDrop",
    "TcpExt.TCPFastRetrans",
    "TcpExt.TCPOFOQueue",
    "TcpExt.TCPOFODrop",
    "TcpExt.TCPRcvQDrop",
    "TcpExt.TCPMemoryPressures",
    "TcpExt.TCPChallengeACK",
    "TcpExt.TCPMTUProbes",
    "TcpExt.TCPMTUPFail",
    "TcpExt.TCPMTUPSuccess",
    "TcpExt.TCPAbortOnData",
    "TcpExt.TCPAbortOnClose",
    "TcpExt.TCPAbortOnTimeout",
    "TcpExt.TCPWinProbe",
    "TcpExt.TW",
)


class DropReason(Enum):
    """Why a packet went no further: Linux's ``enum skb_drop_reason`` (``include/net/dropreason-core.h``)."""

    NO_SOCKET = "no socket takes it"
    PKT_TOO_SMALL = "shorter than its header"
    TCP_CSUM = "TCP checksum"
    UDP_CSUM = "UDP checksum"
    ICMP_CSUM = "ICMP checksum"
    OTHERHOST = "not for this host"
    IP_CSUM = "IP header checksum"
    IP_INHDR = "bad IP header"
    IP_INADDRERRORS = "bad IP address"
    IP_NOPROTO = "protocol above IP not supported"
    IP_OUTNOROUTES = "no route"
    UNHANDLED_PROTO = "EtherType not supported"
    HDR_TRUNC = "malformed header of ARP or ICMP"
    FRAG_REASM_TIMEOUT = "fragments missing when time was over"
    DUP_FRAG = "fragment received before"
    NOMEM = "no memory left for fragments"
    PKT_TOO_BIG = "larger than the link takes"
    IP_LOCALNET = "loopback address on a wire"
    UNICAST_IN_L2_MULTICAST = "for one host in a frame for many"
    IPV6_BAD_EXTHDR = "bad IPv6 extension header"
    IPV6_NDISC_HOP_LIMIT = "neighbour discovery from beyond the link"
    IPV6_NDISC_BAD_CODE = "neighbour discovery with a code"
    IPV6_NDISC_BAD_OPTIONS = "malformed neighbour discovery"
    IPV6_NDISC_NS_OTHERHOST = "asks for another host"
    QDISC_DROP = "queueing discipline full"
    SOCKET_RCVBUFF = "receive buffer full"
    PROTO_MEM = "tcp_mem is used up"
    SOCKET_BACKLOG = "listen backlog full"
    NEIGH_CREATEFAIL = "neighbour table full"
    NEIGH_FAILED = "neighbour does not answer"
    NEIGH_QUEUEFULL = "neighbour's queue full"
    TCP_FLAGS = "invalid flags"
    TCP_INVALID_SEQUENCE = "sequence number not acceptable"
    TCP_RFC7323_PAWS = "timestamp from before the last"
    TCP_INVALID_SYN = "SYN in a synchronised state"
    TCP_RESET = "invalid RST"
    TCP_CLOSE = "connection closed"
    TCP_OLD_DATA = "data received before"
    TCP_ZEROWINDOW = "receive window closed"
    TCP_OVERWINDOW = "data beyond the receive window"
    TCP_TOO_OLD_ACK = "ACK too old"
    TCP_ACK_UNSENT_DATA = "ACK of what was never sent"


class Counters:
    """One host's counters: ``mib`` by name, ``drops`` by reason. A name that does not exist raises ``KeyError``."""

    __slots__ = ("drops", "mib")

    def __init__(self) -> None:
        self.mib: dict[str, int] = dict.fromkeys(MIB_NAMES, 0)
        self.drops: dict[DropReason, int] = dict.fromkeys(DropReason, 0)

    def drop(self, reason: DropReason) -> None:
        """Count a dropped packet."""
        self.drops[reason] += 1

    def nonzero(self) -> dict[str, int]:
        """What has been counted, drop reasons by their names, for reports."""
        counted = {name: value for name, value in self.mib.items() if value}
        counted.update((f"Drop.{reason.name}", value) for reason, value in self.drops.items() if value)
        return counted
