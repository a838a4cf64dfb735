"""The main job's two hosts on a link, and what is measured on them.

Host A: driver and stack on the NIC under test, with a processor that costs time. Host B: the same stack on an ideal
device, with a processor that does not, so that what differs between runs is A's doing.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from driver.bus import Bus
from driver.e1000 import E1000Parameters, probe
from sim.capture import Capture
from sim.engine import Scheduler
from sim.errors import RunFailedError
from sim.experiment import Experiment, mode_name
from sim.file_transfer import Transfer
from sim.host import IDEAL, HostCpu
from sim.results import RunResult
from sim.wire import Link
from sim.wire_device import WireDevice
from stack.environment import Cause
from stack.host import NetworkStack
from stack.ip.parameters import NeighbourParameters
from stack.net_device import SoftIrq
from stack.skbuff import SkBuff
from stack.tcp.parameters import TcpParameters

__all__ = ["SHORTENED", "MainJob"]

_ADDRESS_A = "192.0.2.1"
_ADDRESS_B = "192.0.2.2"
_PREFIX = 24
_MAC_B = bytes.fromhex("020000000002")
_SIMPLIFIED = 4
_NANOSECONDS = 1_000_000_000

# Waiting is cut short, for simulated time is dear and nothing happens in it.
_TCP = TcpParameters(minimum_rto=5_000_000, initial_rto=10_000_000, delayed_ack=1_000_000, time_wait=1_000_000)
_NEIGHBOURS = NeighbourParameters(retransmission_time=1_000_000)
_DMA_DRAIN = 50_000
_RESET_RECOVERY = 10_000
SHORTENED = {
    "minimum RTO": (_TCP.minimum_rto, TcpParameters().minimum_rto),
    "initial RTO": (_TCP.initial_rto, TcpParameters().initial_rto),
    "delayed ACK": (_TCP.delayed_ack, TcpParameters().delayed_ack),
    "TIME-WAIT": (_TCP.time_wait, TcpParameters().time_wait),
    "ARP retry": (_NEIGHBOURS.retransmission_time, NeighbourParameters().retransmission_time),
    "DMA drain before a reset": (_DMA_DRAIN, E1000Parameters.dma_drain),
    "recovery after a reset": (_RESET_RECOVERY, E1000Parameters.reset_recovery),
}
"""Each timer that is shorter here than in Linux: nanoseconds here, and there."""

_POLL_CLOSED = 100_000
_REPORTS = 50
"""Reports of progress each way."""


class _ReceiveLatency:
    """Time from a frame's last bit at the NIC to the stack having it. Frames are told apart by their bytes."""

    def __init__(self, env: Scheduler, cpu: HostCpu) -> None:
        self._env = env
        self._cpu = cpu
        self._arrived: dict[bytes, deque[int]] = defaultdict(deque)
        self.latencies: list[int] = []

    def on_wire(self, end: int, frame: bytes) -> None:
        self._arrived[frame[:-4]].append(end)

    def on_receive(self, skb: SkBuff) -> None:
        frame = bytes(skb.data)
        ends = self._arrived[frame]
        if ends:
            self.latencies.append(self._cpu.now - ends.popleft())
        if not ends:
            del self._arrived[frame]


@dataclass(frozen=True)
class _Moment:
    """Counters at one time; two of them bound a phase."""

    time: int
    interrupts: int
    frames: int
    spent: dict[Cause, int]
    latencies: int


class MainJob:
    """One run: ``run`` is its coroutine, ``result`` its row.

    ``folder`` takes ``capture.pcapng`` and ``progress``.
    """

    def __init__(self, env: Scheduler, experiment: Experiment, link: Link, folder: Path) -> None:
        self.env = env
        self.experiment = experiment
        self.link = link
        self.folder = folder
        self.cpu = HostCpu(env, experiment.costs)
        self._latency = _ReceiveLatency(env, self.cpu)
        self._phases: dict[str, _Moment] = {}
        self._ended = 0
        self._reported = 0
        self._transfer = Transfer(
            env,
            experiment.file.read_bytes(),
            experiment.round_trips,
            on_phase=self._mark,
            on_progress=self._report_progress,
        )

    async def run(self, bus: Bus, arrivals: list[Callable[[int, bytes], None]]) -> None:
        """Bring both hosts up, run the programs, and take both down. Raises ``RunFailedError``."""
        capture = Capture(self.folder / "capture.pcapng", interface=self.experiment.name)
        self.link.taps.append(capture)
        arrivals.append(self._latency.on_wire)
        try:
            await self._run(bus)
        finally:
            capture.close()
        self._ended = self.env.now

    async def _run(self, bus: Bus) -> None:
        env, experiment, link = self.env, self.experiment, self.link
        # Each run of the watchdog is an interrupt: only mode 4, which needs it, has it in a run's time.
        watchdog_interval = E1000Parameters.watchdog_interval
        if experiment.interrupt_throttle_rate == _SIMPLIFIED:
            watchdog_interval = experiment.simplified_interval
        memory_before = bus.memory.allocated()
        parameters = E1000Parameters(
            interrupt_throttle_rate=experiment.interrupt_throttle_rate,
            tso=experiment.offloads,
            tx_checksum=experiment.offloads,
            rx_checksum=experiment.offloads,
            watchdog_interval=watchdog_interval,
            dma_drain=_DMA_DRAIN,
            reset_recovery=_RESET_RECOVERY,
        )
        self._device = device = await probe(bus, self.cpu, SoftIrq(env, self.cpu), name="eth0", parameters=parameters)
        device.taps.append(self._latency.on_receive)
        self._stack_a = stack_a = NetworkStack(env, self.cpu, tcp=_TCP, neighbours=_NEIGHBOURS)
        stack_a.add_interface(device, _ADDRESS_A, _PREFIX)

        ideal = HostCpu(env, IDEAL)
        peer = WireDevice(env, ideal, outgoing=link.b_to_a, incoming=link.a_to_b, address=_MAC_B)
        self._stack_b = stack_b = NetworkStack(env, ideal, tcp=_TCP, neighbours=_NEIGHBOURS)
        stack_b.add_interface(peer, _ADDRESS_B, _PREFIX)

        await peer.open()
        await device.open()
        deadline = env.call_at(env.now + experiment.time_limit, self._give_up)
        server = env.spawn(self._transfer.serve(stack_b, _ADDRESS_B), name="B's program")
        await self._transfer.request(stack_a, _ADDRESS_B)
        await server
        while stack_a.tcp.connections or stack_b.tcp.connections:
            await env.sleep(_POLL_CLOSED)
        deadline.cancel()
        await device.stop()
        await peer.stop()
        if bus.memory.allocated() != memory_before:
            raise RunFailedError(
                f"the driver kept {bus.memory.allocated() - memory_before} bytes of host memory after stop"
            )

    def _give_up(self) -> None:
        self.env.fail(RunFailedError(f"no end after {self.experiment.time_limit / _NANOSECONDS:g} s of simulated time"))

    def _mark(self, phase: str) -> None:
        self._phases[phase] = _Moment(
            time=self.env.now,
            interrupts=self._device.counters.interrupts,
            frames=self.link.a_to_b.frames + self.link.b_to_a.frames,
            spent=self.cpu.spent(),
            latencies=len(self._latency.latencies),
        )

    def _report_progress(self, count: int) -> None:
        # Writing a file takes longer than the model takes for a packet.
        if count >= self._reported + len(self._transfer.content) / _REPORTS:
            self._reported = count
            (self.folder / "progress").write_text(str(count))

    def result(
        self,
        *,
        backend: str,
        dma_read_bytes: int,
        dma_write_bytes: int,
        simulated_cycles: int,
        wall_time: float,
    ) -> RunResult:
        """The row of a run that has ended."""
        experiment, transfer, device = self.experiment, self._transfer, self._device
        send, turn, done = (self._phases[name] for name in ("send", "turn", "done"))
        bits = 8 * len(transfer.content)
        latencies = _seconds(self._latency.latencies[turn.latencies : done.latencies])
        round_trips = _seconds(transfer.round_trips)
        counters = device.counters
        return RunResult(
            name=experiment.name,
            backend=backend,
            interrupt_throttle_rate=experiment.interrupt_throttle_rate,
            mode=mode_name(experiment.interrupt_throttle_rate),
            offloads=experiment.offloads,
            seed=experiment.seed,
            file_bytes=len(transfer.content),
            sha256=transfer.sha256,
            duration=self._ended / _NANOSECONDS,
            send_goodput=_rate(bits, transfer.send_finished - transfer.send_started),
            receive_goodput=_rate(bits, transfer.receive_finished - transfer.receive_started),
            send_interrupts=turn.interrupts - send.interrupts,
            receive_interrupts=done.interrupts - turn.interrupts,
            send_interrupt_rate=_rate(turn.interrupts - send.interrupts, turn.time - send.time),
            receive_interrupt_rate=_rate(done.interrupts - turn.interrupts, done.time - turn.time),
            send_packets_per_interrupt=_ratio(turn.frames - send.frames, turn.interrupts - send.interrupts),
            receive_packets_per_interrupt=_ratio(done.frames - turn.frames, done.interrupts - turn.interrupts),
            send_cpu=_shares(send, turn),
            receive_cpu=_shares(turn, done),
            round_trip_p50=_percentile(round_trips, 50),
            round_trip_p99=_percentile(round_trips, 99),
            receive_latency_p50=_percentile(latencies, 50),
            receive_latency_p99=_percentile(latencies, 99),
            receive_latencies=latencies,
            round_trips=round_trips,
            retransmissions=sum(stack.counters.mib["Tcp.RetransSegs"] for stack in (self._stack_a, self._stack_b)),
            tso_packets=counters.tso_packets,
            tso_segments=counters.tso_segments,
            tso_segments_per_packet=_ratio(counters.tso_segments, counters.tso_packets),
            tso_segments_per_descriptor=_ratio(counters.tso_segments, counters.tso_descriptors),
            frames_sent=self.link.a_to_b.frames,
            frames_received=self.link.b_to_a.frames,
            itr_log=[(entry.time / _NANOSECONDS, entry.register) for entry in device.itr_log],
            dma_read_bytes=dma_read_bytes,
            dma_write_bytes=dma_write_bytes,
            simulated_cycles=simulated_cycles,
            wall_time=wall_time,
            cycles_per_second=simulated_cycles / wall_time,
        )


def _seconds(times: list[int]) -> list[float]:
    return [time / _NANOSECONDS for time in times]


def _rate(count: int, nanoseconds: int) -> float:
    """Per second; 0 if no time passed (an empty file)."""
    return count * _NANOSECONDS / nanoseconds if nanoseconds else 0.0


def _ratio(count: int, of: int) -> float:
    return count / of if of else 0.0


def _percentile(values: list[float], percent: int) -> float:
    """0 if there is no value (an empty file)."""
    return float(np.percentile(values, percent)) if values else 0.0


def _shares(start: _Moment, end: _Moment) -> dict[str, float]:
    """Share of the processor's time by cause, idle included; adds up to 1."""
    span = max(end.time - start.time, 1)
    shares = {cause.value: (end.spent[cause] - start.spent[cause]) / span for cause in Cause}
    return shares | {"idle": 1.0 - sum(shares.values())}
