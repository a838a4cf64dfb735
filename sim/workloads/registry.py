"""All workloads, as one type that a document's ``kind`` chooses from."""

from typing import Annotated

from pydantic import Field

from sim.workloads.bulk import Bulk
from sim.workloads.datagrams import Flood, Imix, OnOff, Poisson
from sim.workloads.file import File
from sim.workloads.incast import Incast
from sim.workloads.mixed import Mixed
from sim.workloads.ping_pong import PingPong
from sim.workloads.replay import Replay

__all__ = ["WORKLOADS", "AnyWorkload"]

AnyWorkload = Annotated[
    Bulk | PingPong | Flood | Poisson | OnOff | Imix | Mixed | Incast | Replay | File, Field(discriminator="kind")
]

WORKLOADS = (Bulk, PingPong, Flood, Poisson, OnOff, Imix, Mixed, Incast, Replay, File)
