"""What differs between IPv4 and IPv6 wherever the rest is the same."""

from dataclasses import dataclass
from typing import Final

from stack.address import INADDR_ANY
from stack.counters import Counters
from stack.ethernet import ETH_P_IP, ETH_P_IPV6

__all__ = ["IPV4", "IPV6", "Family", "family_of"]


@dataclass(frozen=True, eq=False)
class Family:
    """One of two."""

    version: int
    prefix: str
    """Of its counters' names (RFC 4293, ipSystemStats)."""
    any: int
    """Its wildcard address."""
    ethertype: int
    address_bits: int
    header_bytes: int
    minimum_mtu: int
    """Every link carries so much (RFC 791 section 3.2, RFC 8200 section 5)."""
    icmp: int
    """Protocol number of its ICMP."""

    def count(self, counters: Counters, name: str) -> None:
        """Count an event that does not happen with every packet."""
        counters.mib[f"{self.prefix}.{name}"] += 1


IPV4: Final = Family(4, "Ip", INADDR_ANY, ETH_P_IP, 32, 20, 68, 1)
IPV6: Final = Family(6, "Ip6", 0, ETH_P_IPV6, 128, 40, 1280, 58)


def family_of(address: int) -> Family:
    """The family of an address."""
    return IPV4 if address >> 32 == 0xFFFF else IPV6
