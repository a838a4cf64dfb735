"""One run: hosts on a link, a workload on the hosts, and rows of what it told. The back end brings the NIC."""

import json
from pathlib import Path
from typing import Any

from driver.itr import ThrottleMode, parse_interrupt_throttle_rate
from sim.capture import Capture
from sim.durations import Durations
from sim.engine import Scheduler
from sim.errors import RunFailedError
from sim.host import HostCpu
from sim.host_bus import HostBus
from sim.hosts import Hosts, Moment, Phase
from sim.outputs import Outputs
from sim.results import QUANTILES, ItrWrite, Row
from sim.run import Run, mode_name
from sim.timeline import Timeline
from sim.wire import Faults, Link
from stack.environment import Cause

__all__ = ["Laboratory"]

_NANOSECONDS = 1_000_000_000


class Laboratory:
    """``run`` is the coroutine of a run, ``rows`` what it has measured. ``folder`` takes the outputs."""

    def __init__(self, env: Scheduler, run: Run, *, folder: Path, outputs: Outputs) -> None:
        self.env = env
        self.specification = run
        faults = Faults(loss=run.link.loss, corruption=run.link.corruption)
        self.link = Link(env, delay=run.link.delay, a_to_b=faults, b_to_a=faults)
        host = run.host
        self.cpu = HostCpu(env, host.costs(), processors=host.processors, irq_affinity=host.irq_affinity)
        mode, _ = parse_interrupt_throttle_rate(run.mode)
        # Each run of the watchdog is an interrupt: only mode 4, which needs it, has it in a run's time.
        interval = {"watchdog_interval": run.simplified_interval} if mode is ThrottleMode.SIMPLIFIED else {}
        self.hosts = Hosts(
            env,
            self.cpu,
            self.link,
            parameters=run.driver.parameters(**interval),
            program_affinity=host.program_affinity,
            seed=run.seed,
            peers=run.workload.peers,
            peer_interval=run.link.peer_interval,
            latency_of=run.workload.latency_of,
        )
        self._folder = folder
        self._timeline = Timeline() if outputs.timeline else None
        self._capture = Capture(folder / "capture.pcapng", interface=run.name) if outputs.capture else None

    async def run(self, bus: HostBus) -> None:
        """Bring the hosts up, run the workload, take the hosts down. Raises ``RunFailedError``."""
        limit = self.specification.time_limit
        deadline = self.env.call_at(self.env.now + limit, lambda: self._give_up(limit))
        if self._capture:
            self.link.taps.append(self._capture)
        try:
            await self.hosts.up(bus)
            if self._timeline:
                self._timeline.attach(self.hosts)
            await self.specification.workload.run(self.hosts)
            await self.hosts.down()
        finally:
            if self._capture:
                self._capture.close()
        deadline.cancel()
        if self._timeline:
            self._timeline.write(self._folder / "timeline.json")

    def _give_up(self, limit: int) -> None:
        self.env.fail(RunFailedError(f"no end after {limit / _NANOSECONDS:g} s of simulated time"))

    def rows(
        self, *, key: str, dma_read_bytes: int, dma_write_bytes: int, simulated_cycles: int, wall_time: float
    ) -> list[Row]:
        """One row for each phase of a run that has ended. ``key`` is the run's."""
        run = self.specification
        load, load_unit = run.workload.load
        shared: dict[str, Any] = {
            "key": key,
            "experiment": run.experiment,
            "name": run.name,
            "backend": run.backend.value,
            "workload": run.workload.kind,
            "settings": json.dumps(run.settings()),
            "varied": json.dumps(run.varied),
            "load": float(load),
            "load_unit": load_unit,
            "interrupt_throttle_rate": run.mode,
            "mode": mode_name(run.mode),
            "offloads": run.driver.offloads,
            "seed": run.seed,
            "sha256": run.sha256,
            "dma_read_bytes": dma_read_bytes,
            "dma_write_bytes": dma_write_bytes,
            "simulated_cycles": simulated_cycles,
            "wall_time": wall_time,
            "cycles_per_second": simulated_cycles / wall_time,
        }
        return [Row(**shared, **self._measured(phase)) for phase in self.hosts.phases]

    def _measured(self, phase: Phase) -> dict[str, Any]:
        start, finish = phase.start, phase.finish
        if finish is None:
            raise RunFailedError(f"the workload left phase {phase.name!r} open")
        span = finish.time - start.time
        interrupts = finish.interrupts - start.interrupts
        sent, received = finish.frames_sent - start.frames_sent, finish.frames_received - start.frames_received
        latencies = phase.receive if phase.latency_of == "receive" else phase.transactions
        packets, segments, descriptors = (b - a for a, b in zip(start.tso, finish.tso, strict=True))
        p50, p99, p999, longest = _percentiles(latencies)
        receive_p50, receive_p99, *_ = _percentiles(phase.receive)
        return {
            "phase": phase.name,
            "duration": span / _NANOSECONDS,
            "sent_bytes": phase.sent_bytes,
            "received_bytes": phase.received_bytes,
            "send_goodput": _rate(8 * phase.sent_bytes, span),
            "receive_goodput": _rate(8 * phase.received_bytes, span),
            "transactions": len(phase.transactions),
            "transaction_rate": _rate(len(phase.transactions), span),
            "interrupts": interrupts,
            "interrupt_rate": _rate(interrupts, span),
            "frames_sent": sent,
            "frames_received": received,
            "packets_per_interrupt": (sent + received) / interrupts if interrupts else 0.0,
            "cpu": _shares(start, finish, len(self.cpu.processors)),
            "latency_of": phase.latency_of,
            "latency_count": len(latencies),
            "latency_p50": p50,
            "latency_p99": p99,
            "latency_p999": p999,
            "latency_max": longest,
            "latencies": _quantiles(latencies),
            "receive_p50": receive_p50,
            "receive_p99": receive_p99,
            "receive_latencies": _quantiles(phase.receive),
            "drops": {cause: finish.drops[cause] - start.drops[cause] for cause in start.drops},
            "receive_no_buffer": finish.receive_no_buffer - start.receive_no_buffer,
            "retransmissions": finish.retransmissions - start.retransmissions,
            "tso_packets": packets,
            "tso_segments": segments,
            "tso_segments_per_descriptor": segments / descriptors if descriptors else 0.0,
            "polls": finish.polls - start.polls,
            "itr_log": self._itr_log(start.time, finish.time),
            "rings": phase.rings,
        }

    def _itr_log(self, start: int, finish: int) -> list[ItrWrite]:
        """The writes of a phase, and the last one before it."""
        log = [entry for entry in self.hosts.device.itr_log if entry.time <= finish]
        first = max((index for index, entry in enumerate(log) if entry.time <= start), default=0)
        return [
            {
                "time": (entry.time - start) / _NANOSECONDS,
                "register": entry.register,
                "rx_class": int(entry.rx_class),
                "tx_class": int(entry.tx_class),
            }
            for entry in log[first:]
        ]


def _rate(count: int, nanoseconds: int) -> float:
    """Per second; 0 if no time passed (an empty file)."""
    return count * _NANOSECONDS / nanoseconds if nanoseconds else 0.0


def _percentiles(times: Durations) -> tuple[float, float, float, float]:
    """Median, 99th, 99.9th and 100th percentile in seconds; 0 if there are no values."""
    if not len(times):
        return 0.0, 0.0, 0.0, 0.0
    p50, p99, p999, longest = (time / _NANOSECONDS for time in times.quantiles((0.5, 0.99, 0.999, 1.0)))
    return p50, p99, p999, longest


def _quantiles(times: Durations) -> list[float]:
    return [time / _NANOSECONDS for time in times.quantiles(QUANTILES)] if len(times) else []


def _shares(start: Moment, finish: Moment, processors: int) -> dict[str, float]:
    """Share of all processors' time by cause, idle included; adds up to 1."""
    span = max(finish.time - start.time, 1) * processors
    shares = {cause.value: (finish.spent[cause] - start.spent[cause]) / span for cause in Cause}
    return shares | {"idle": 1.0 - sum(shares.values())}
