"""A session put together: the NIC, the wire, its far end, the server; the same for every back end."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hw.registers import BY_NAME
from sim.capture import Capture
from sim.errors import UserError
from sim.qemu.far_end import FarEnd, Silence, TapFarEnd
from sim.qemu.itr_history import ItrHistory
from sim.qemu.replay import ReplayFarEnd
from sim.qemu.settings import Settings
from sim.qemu.stack_far_end import StackFarEnd
from sim.qemu.trace import Trace
from sim.qemu.wire_counts import WireCounts
from sim.vfio_user.function import Access, Observer
from sim.vfio_user.nic import Nic
from sim.vfio_user.server import Server, listen
from sim.vfio_user.statistics import Statistics
from sim.wire import Link

__all__ = ["serve"]

_RCTL = BY_NAME["RCTL"]
_STATION = bytes.fromhex("020000000001")
"""Of the NIC, by its EEPROM."""


def _far_end(settings: Settings, link: Link) -> FarEnd:
    if settings.tap is not None:
        return TapFarEnd(link, settings.tap)
    if settings.replay is not None:
        return ReplayFarEnd(link, settings.replay)
    if settings.stack:
        return StackFarEnd(link, seed=settings.seed)
    return Silence(link)


T = TypeVar("T")


def _opened(make: Callable[[Path], T], path: Path) -> T:
    """Raises ``UserError`` if the file cannot be written."""
    try:
        return make(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


async def serve(
    nic: Nic,
    link: Link,
    settings: Settings,
    statistics: Statistics,
    *,
    log: Callable[[str], None],
    ready: Callable[[], None],
    stop: int | None = None,
) -> None:
    """Serve the NIC, which is at the a end of ``link``, until all clients have been.

    ``ready`` is called when the socket is there; all ends as soon as ``stop`` can be read. ``statistics`` are complete
    at the end, however that comes. Raises ``UserError`` if the socket, or the far end, cannot be had.
    """
    far_end = _far_end(settings, link)
    counts = WireCounts(link, _STATION)

    async def watch(access: Access) -> None:
        if access.write and access.offset == _RCTL.offset and access.value & _RCTL.mask("EN") and not access.io:
            far_end.receiver_on()
        elif not access.write:
            counts.read(access.offset)

    observers: list[Observer] = [watch]
    files: list[Capture | Trace | ItrHistory] = []
    if settings.capture is not None:
        files.append(capture := _opened(lambda path: Capture(path, interface="eth0"), settings.capture))
        link.taps.append(capture)
    if settings.trace is not None:
        files.append(trace := _opened(lambda path: Trace(path, nic.memory, link), settings.trace))
        observers.append(trace.observe)
    if settings.itr is not None:
        files.append(history := _opened(lambda path: ItrHistory(link.a_to_b.env, nic, path), settings.itr))
        observers.append(history.observe)
    listener = listen(settings.socket)
    server = Server(nic, listener, far_end, statistics=statistics, log=log, stop=stop)
    server.function.observers += observers
    try:
        ready()
        await server.serve(settings.clients)
    finally:
        listener.close()
        settings.socket.unlink(missing_ok=True)
        for file in files:
            file.close()
        statistics.wire = counts.seen
        statistics.checksum_errors = far_end.checksum_errors
        statistics.frames_sent, statistics.frames_received = link.a_to_b.frames, link.b_to_a.frames
