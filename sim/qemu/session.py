"""A session put together: the NIC, the wire, its far end, the server; the same for every back end."""

from collections.abc import Callable

from sim.capture import Capture
from sim.qemu.far_end import FarEnd, Silence, TapFarEnd
from sim.qemu.settings import Settings
from sim.vfio_user.nic import Nic
from sim.vfio_user.server import Server, listen
from sim.vfio_user.statistics import Statistics
from sim.wire import Link

__all__ = ["serve"]


def _far_end(settings: Settings, link: Link) -> FarEnd:
    if settings.tap is not None:
        return TapFarEnd(link, settings.tap)
    return Silence(link)


async def serve(
    nic: Nic, link: Link, settings: Settings, *, log: Callable[[str], None], ready: Callable[[], None]
) -> Statistics:
    """Serve the NIC, which is at the a end of ``link``, until all clients have been. ``ready`` is called when the socket
    is there. Raises ``UserError`` if the socket or the far end cannot be had."""
    far_end = _far_end(settings, link)
    listener = listen(settings.socket)
    capture = None
    if settings.capture is not None:
        capture = Capture(settings.capture, interface="eth0")
        link.taps.append(capture)
    try:
        server = Server(nic, listener, far_end, log=log)
        ready()
        await server.serve(settings.clients)
    finally:
        listener.close()
        settings.socket.unlink(missing_ok=True)
        if capture is not None:
            capture.close()
    server.statistics.frames_sent = link.a_to_b.frames
    server.statistics.frames_received = link.b_to_a.frames
    return server.statistics
