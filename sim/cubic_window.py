"""What RFC 9438's rules make of a path that loses one packet in so many: the window, packet by packet, without a stack.

The formula of section 5.1 lets the window fall in the moment of the loss and follow the curve from there, and knows no
fast convergence. Here packets travel: a loss is known when the third packet behind it is acknowledged, a round trip
later, the window goes down by PRR (RFC 6937) until the copy is acknowledged, and grows with each ACK towards where the
curve is a round trip ahead (section 4.4). ``sim.tcp_tables`` has it beside what the stack does, with which it shares no
code.
"""

from collections import deque
from math import ceil, inf

__all__ = ["average_window", "formula"]

_C, _BETA = 0.4, 0.7
"""Sections 5 and 4.6."""
_ALPHA = 3 * (1 - _BETA) / (1 + _BETA)
"""Section 4.3."""
_INITIAL_WINDOW = 10.0
_DUPLICATES = 3


def formula(packets_per_loss: int, round_trip: float) -> float:
    """AVG_W_cubic in segments (section 5.1, equation 5); the round trip in seconds."""
    return float((_C * (3 + _BETA) / (4 * (1 - _BETA))) ** 0.25 * (round_trip * packets_per_loss) ** 0.75)


class _Window:
    """Windows in segments, times in seconds. Names as in section 4.1."""

    def __init__(self, round_trip: float, *, fast_convergence: bool) -> None:
        self.round_trip = round_trip
        self._fast_convergence = fast_convergence
        self.cwnd = _INITIAL_WINDOW
        self.ssthresh = inf
        self._w_max = self._cwnd_prior = self._w_est = self._origin = self._k = 0.0
        self._epoch: float | None = None

    def reduce(self) -> None:
        """Sections 4.6 and 4.7, which compares whole segments here. The window itself is left to PRR."""
        self._cwnd_prior = self.cwnd
        early = self._fast_convergence and int(self.cwnd) < int(self._w_max)
        self._w_max = self.cwnd * (1 + _BETA) / 2 if early else self.cwnd
        self.ssthresh = max(self.cwnd * _BETA, 2.0)
        self._epoch = None

    def grow(self, now: float) -> None:
        """One segment is acknowledged (slow start; sections 4.2 to 4.5)."""
        cwnd = self.cwnd
        if cwnd < self.ssthresh:
            self.cwnd += 1
            return
        if self._epoch is None:
            self._epoch = now
            self._w_est = cwnd
            self._origin = max(self._w_max, cwnd)
            self._k = ((self._origin - cwnd) / _C) ** (1 / 3)
        elapsed = now - self._epoch
        self._w_est += (1.0 if self._w_est >= self._cwnd_prior else _ALPHA) / cwnd
        if self._curve(elapsed) < self._w_est:
            self.cwnd = max(cwnd, self._w_est)
        else:
            target = min(max(self._curve(elapsed + self.round_trip), cwnd), 1.5 * cwnd)
            self.cwnd += (target - cwnd) / cwnd

    def _curve(self, elapsed: float) -> float:
        return self._origin + _C * (elapsed - self._k) ** 3


class _Reduction:
    """Names as in RFC 6937. ``copy`` is the number of the packet that repairs the loss, and with which it ends."""

    def __init__(self, window: float, copy: int) -> None:
        self.copy = copy
        self._recover_fs = window
        self._delivered = _DUPLICATES
        self.out = 1

    def window(self, flight: int, ssthresh: float) -> float:
        """After another packet has arrived."""
        self._delivered += 1
        if flight > ssthresh:
            count: float = ceil(self._delivered * ssthresh / self._recover_fs) - self.out
        else:
            count = min(ssthresh - flight, max(self._delivered - self.out, 1))
        return flight + max(count, 0)


def average_window(
    *, packets_per_loss: int, round_trip: float, skipped: int, epochs: int, fast_convergence: bool = True
) -> float:
    """The window's average over time in segments, after ``skipped`` losses and over ``epochs`` of them; the round trip
    in seconds."""
    window = _Window(round_trip, fast_convergence=fast_convergence)
    on_their_way: deque[tuple[float, int]] = deque()
    sent = flight = duplicates = 0
    now = area = duration = 0.0
    missing = False
    reduction: _Reduction | None = None

    def send() -> int:
        """As many as the window allows: how many."""
        nonlocal sent, flight
        before = sent
        while flight + 1 <= window.cwnd:
            sent += 1
            flight += 1
            on_their_way.append((now + round_trip, sent))
        return sent - before

    send()
    while sent < (skipped + epochs) * packets_per_loss:
        arrival, number = on_their_way.popleft()
        if sent >= skipped * packets_per_loss:
            area += window.cwnd * (arrival - now)
            duration += arrival - now
        now = arrival
        if number % packets_per_loss == 0:
            missing, duplicates = True, 0
            continue
        flight -= 1
        if reduction is not None and number != reduction.copy:
            window.cwnd = reduction.window(flight, window.ssthresh)
            reduction.out += send()
            continue
        if reduction is not None:
            reduction, missing = None, False
            window.cwnd = window.ssthresh
        if missing:
            duplicates += 1
            if duplicates == _DUPLICATES:
                # The copy takes the place of what is lost.
                sent += 1
                reduction = _Reduction(window.cwnd, sent)
                on_their_way.append((now + round_trip, sent))
                window.reduce()
                continue
        else:
            window.grow(now)
        send()
    return area / duration
