"""The bridge: a NIC's host edge on a serial line (docs/bridge-protocol.md).

rx -> UART -> deframer -> link -> requests -> registers, host memory
tx <- UART <- enframer <- link <- journal <- values, the NIC's writes, interrupt
"""

from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.bridge.framing import Deframer, Enframer
from hw.bridge.host_memory import HostMemory
from hw.bridge.journal import Journal
from hw.bridge.link_receive import LinkReceiver
from hw.bridge.link_transmit import T1_CYCLES, LinkTransmitter
from hw.bridge.protocol import Status
from hw.bridge.requests import RequestExecutor
from hw.bridge.uart import BaudRate, UartReceiver, UartTransmitter
from hw.interfaces import MemoryPort, RegisterPort

__all__ = ["SerialBridge"]

_RESET_CYCLES = 16


class SerialBridge(wiring.Component):
    """Parameters
    ----------
    rate : BaudRate
    build_id : bytes
        Eight octets that tell one bitstream from another.
    memory_kib : int
        Size of host memory, a power of two.
    t1_cycles : int
        As of ``LinkTransmitter``.

    Members
    -------
    rx : ``In(1)``, tx : ``Out(1)``
        The line.
    memory : ``In(MemoryPort())``, registers : ``In(RegisterPort())``, interrupt : ``In(1)``
        The NIC's.
    reset : ``Out(1)``
        Resets the NIC: a link is set up. Lasts until host memory is cleared.
    connected : ``Out(1)``
        A link has been set up.
    damaged : ``Out(1)``
        In this cycle a bad frame has ended.
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)
    memory: In(MemoryPort())
    registers: In(RegisterPort())
    interrupt: In(1)
    reset: Out(1)
    connected: Out(1)
    damaged: Out(1)

    def __init__(self, *, rate: BaudRate, build_id: bytes, memory_kib: int, t1_cycles: int = T1_CYCLES) -> None:
        self._uart = UartReceiver(rate=rate), UartTransmitter(rate=rate)
        self._memory = HostMemory(size=1024 * memory_kib)
        self._transmitter = LinkTransmitter(build_id=build_id, memory_kib=memory_kib, t1_cycles=t1_cycles)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.uart_receiver, m.submodules.uart_transmitter = uart_receiver, uart_transmitter = self._uart
        m.submodules.deframer = deframer = Deframer()
        m.submodules.enframer = enframer = Enframer()
        m.submodules.link_receiver = receiver = LinkReceiver()
        m.submodules.link_transmitter = transmitter = self._transmitter

        # What belongs to a link is reset with it.
        reset = Signal()
        per_link = ResetInserter({"sync": reset})
        m.submodules.host_memory = host_memory = per_link(self._memory)
        m.submodules.journal = journal = per_link(Journal())
        m.submodules.executor = executor = per_link(RequestExecutor())

        m.d.comb += [
            uart_receiver.rx.eq(self.rx),
            self.tx.eq(uart_transmitter.tx),
            *(getattr(deframer, name).eq(getattr(uart_receiver, name)) for name in ("octet", "valid", "framing_error")),
            receiver.octet.eq(deframer.o_octet),
            receiver.valid.eq(deframer.o_valid),
            receiver.end.eq(deframer.end),
            receiver.good.eq(deframer.good),
            *(
                getattr(transmitter, name).eq(getattr(receiver, name))
                for name in ("set_mode", "token", "v_r", "acknowledge", "reject", "n_r", "owe_rr", "owe_rej")
            ),
            *(getattr(host_memory, name).eq(getattr(executor, name)) for name in ("write", "address", "octet")),
            journal.pending.eq(host_memory.pending),
            self.connected.eq(receiver.connected),
            self.damaged.eq(deframer.end & ~deframer.good),
            self.reset.eq(reset | ~host_memory.cleared),
        ]
        connect(m, receiver.o, executor.i)
        connect(m, executor.registers, flipped(self.registers))
        connect(m, executor.value, journal.value)
        connect(m, host_memory.messages, journal.writes)
        connect(m, flipped(self.memory), host_memory.memory)
        connect(m, journal.o, transmitter.messages)
        connect(m, transmitter.o, enframer.i)
        connect(m, enframer.o, uart_transmitter.i)

        outside, unknown = Signal(), Signal()
        left = Signal(range(_RESET_CYCLES + 1))
        levels = {Status.INTERRUPT: self.interrupt, Status.OUTSIDE: outside, Status.UNKNOWN: unknown}
        m.d.comb += [
            journal.status.eq(Cat(levels[status] for status in Status)),
            transmitter.hold.eq((left != 0) | self.reset),
        ]
        m.d.sync += [
            reset.eq(left != 0),
            outside.eq((outside | host_memory.outside) & ~reset),
            unknown.eq((unknown | executor.unknown) & ~reset),
        ]
        with m.If(receiver.set_mode):
            m.d.sync += left.eq(_RESET_CYCLES)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return m
