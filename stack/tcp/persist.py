"""Zero-window probes (RFC 9293 section 3.8.6.1), and the push of what silly window avoidance or cork hold back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stack.tcp.send import Sender

__all__ = ["probe_window"]


def probe_window(sender: "Sender", now: int) -> None:
    """The timer expired with nothing on its way: ask for the window. With what fits if it is open a little, else with
    a number that the peer must answer."""
    if sender.window > 0:
        sender.output(now, probe=True)
        return
    sender.unanswered += 1
    if sender.unanswered > sender.parameters.retries or (
        sender.user_timeout and now - sender.progress_at >= sender.user_timeout
    ):
        sender.give_up()
        return
    sender.counters.mib["TcpExt.TCPWinProbe"] += 1
    sender.probe_backoff += 1
    sender.send_probe()
    sender.timer.start(now + min(sender.rtt.rto << sender.probe_backoff, sender.parameters.maximum_rto))
