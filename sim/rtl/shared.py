"""What bench.cpp and Python share: the simulator's executable seen through ctypes.

Works only inside the simulator, where the functions of bench.cpp are part of the running program.
"""

import ctypes
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["NEVER", "Bench", "State"]

NEVER = 2**64 - 1
_FRAME_ROOM = 32768


class State(ctypes.Structure):
    """Mirror of ``State`` in bench.cpp, where the fields are explained. Times are in clock cycles."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "deadline",
            "mmio_read_return",
            "dma_read_latency",
            "dma_write_latency",
            "dma_width",
            "watching",
            "reset",
            "cycle",
            "interrupt",
            "interrupts",
            "reads_done",
            "frames_sent",
            "bad_reads",
            "bad_writes",
            "read_bytes",
            "write_bytes",
            "rest",
        )
    )
    deadline: int
    mmio_read_return: int
    dma_read_latency: int
    dma_write_latency: int
    dma_width: int
    watching: int
    reset: int
    cycle: int
    interrupt: int
    interrupts: int
    reads_done: int
    frames_sent: int
    bad_reads: int
    bad_writes: int
    read_bytes: int
    write_bytes: int
    rest: int


class Bench:
    """The functions and the memory of bench.cpp.

    ``memory`` is the host memory the NIC's DMA sees at bus address 0 until it is unmapped, shape ``(bytes,)``, dtype
    ``uint8``: not a copy.
    """

    def __init__(self) -> None:
        program = ctypes.CDLL(None)
        program.niclab_state.restype = ctypes.POINTER(State)
        program.niclab_memory.restype = ctypes.POINTER(ctypes.c_uint8)
        program.niclab_memory_bytes.restype = ctypes.c_uint64
        program.niclab_state_bytes.restype = ctypes.c_uint64
        program.niclab_access.argtypes = (
            ctypes.c_uint64,
            ctypes.c_uint32,
            ctypes.c_uint8,
            ctypes.c_uint32,
            ctypes.c_uint8,
        )
        program.niclab_map.argtypes = (ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint8)
        program.niclab_unmap.argtypes = (ctypes.c_uint64,)
        program.niclab_unmap.restype = ctypes.c_uint8
        program.niclab_watch.argtypes = (ctypes.c_void_p, ctypes.c_uint64)
        program.niclab_read_value.restype = ctypes.c_uint32
        program.niclab_receive.argtypes = (ctypes.c_uint64, ctypes.c_char_p, ctypes.c_uint64)
        program.niclab_sent.argtypes = (
            ctypes.c_char_p,
            ctypes.c_uint64,
            ctypes.POINTER(ctypes.c_uint64),
            ctypes.POINTER(ctypes.c_uint8),
        )
        program.niclab_sent.restype = ctypes.c_int64
        if program.niclab_state_bytes() != ctypes.sizeof(State):
            raise RuntimeError("sim/rtl/shared.py and sim/rtl/bench.cpp disagree about State")
        self._program = program
        self.state: State = program.niclab_state().contents
        size = program.niclab_memory_bytes()
        self.memory: npt.NDArray[np.uint8] = np.ctypeslib.as_array(program.niclab_memory(), shape=(size,))
        self._room = ctypes.create_string_buffer(_FRAME_ROOM)
        self._cycle = ctypes.c_uint64()
        self._error = ctypes.c_uint8()

    def access(self, arrival: int, address: int, *, write: bool, data: int = 0, io: bool = False) -> None:
        """Queue a register access that reaches the NIC at cycle ``arrival``; ``io``: in the I/O window. Reads of both
        windows must not be on their way at the same time."""
        self._program.niclab_access(arrival, address, write, data, io)

    def map(self, address: int, array: npt.NDArray[np.uint8], *, writable: bool) -> None:
        """Let the NIC's DMA find ``array`` at a bus address, until ``unmap``; who calls keeps it alive.

        Raises ``ValueError`` unless address and length are multiples of 8. It must overlap nothing that is mapped.
        """
        if address % 8 or len(array) % 8 or not len(array):
            raise ValueError(f"memory at {address:#x}, {len(array):#x} bytes: whole words of 8 bytes can be mapped")
        self._program.niclab_map(address, len(array), array.ctypes.data, writable)

    def unmap(self, address: int) -> None:
        """Raises ``ValueError`` if nothing was mapped at this address."""
        if not self._program.niclab_unmap(address):
            raise ValueError(f"no memory is mapped at {address:#x}")

    def watch(self, descriptors: Sequence[int]) -> None:
        """What ``State.watching`` is about: wake when one of these can be read."""
        self._program.niclab_watch((ctypes.c_int32 * len(descriptors))(*descriptors), len(descriptors))

    def read_value(self) -> int:
        """What the oldest completed read that was not asked for yet has returned. There must be one
        (``State.reads_done`` counts them)."""
        value: int = self._program.niclab_read_value()
        return value

    def receive(self, cycle: int, frame: bytes) -> None:
        """Send the NIC a frame, FCS included, whose preamble starts at ``cycle``."""
        self._program.niclab_receive(cycle, frame, len(frame))

    def sent(self) -> tuple[int, bytes, bool] | None:
        """The next frame the NIC sent: cycle of its first preamble byte, bytes from the preamble to the FCS, and
        whether TX_ER was raised. None if there is none."""
        length = self._program.niclab_sent(self._room, _FRAME_ROOM, self._cycle, self._error)
        if length == -1:
            return None
        if length < 0:
            raise RuntimeError(f"the NIC sent a frame of more than {_FRAME_ROOM} bytes")
        return self._cycle.value, self._room.raw[:length], bool(self._error.value)
