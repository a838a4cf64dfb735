"""A serial port in real time: pyserial opens and sets it, the engine watches it."""

import contextlib
import errno
import os
from collections.abc import Callable

import serial
from serial.tools import list_ports

from sim.errors import RunFailedError, UserError
from sim.realtime.engine import RealTimeEngine

__all__ = ["SerialPort"]

_LARGEST_READ = 65536


class SerialPort:
    """``receive`` is called with what comes. Nobody else can open the port meanwhile.

    Raises ``UserError`` if the port cannot be had.
    """

    def __init__(self, engine: RealTimeEngine, path: str, *, baud: int) -> None:
        self.path = path
        self.receive: Callable[[bytes], None] = lambda octets: None
        self._engine = engine
        self._waiting = bytearray()
        try:
            self._port = serial.Serial(path, baud, timeout=0, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            raise UserError(f"{path}: {_reason(error)}") from None
        self._file: int = self._port.fileno()
        # USB serial chips hold octets back for milliseconds, if they may; others have no such mode.
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            self._port.set_low_latency_mode(True)
        self._port.reset_input_buffer()
        engine.add_reader(self._file, self._read)

    def write(self, octets: bytes) -> None:
        """Send, as fast as the line takes it."""
        idle = not self._waiting
        self._waiting += octets
        if idle:
            self._flush()

    def close(self) -> None:
        self._engine.remove_reader(self._file)
        self._engine.loop.remove_writer(self._file)
        self._port.close()

    def _read(self) -> None:
        try:
            octets = os.read(self._file, _LARGEST_READ)
        except BlockingIOError:
            return
        except OSError as error:
            raise RunFailedError(f"{self.path}: {error.strerror}; is the board still there?") from None
        if not octets:
            raise RunFailedError(f"{self.path}: the port is gone; is the board still there?")
        self.receive(octets)

    def _flush(self) -> None:
        try:
            sent = os.write(self._file, self._waiting)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise RunFailedError(f"{self.path}: {error.strerror}; is the board still there?") from None
        del self._waiting[:sent]
        if self._waiting:
            self._engine.loop.add_writer(self._file, self._flush)
        else:
            self._engine.loop.remove_writer(self._file)


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        ports = ", ".join(sorted(port.device for port in list_ports.comports())) or "none"
        return f"no such port; ports here: {ports}"
    if number == errno.EACCES:
        return "not permitted; become a member of the port's group (dialout on Debian), or run as root"
    if number in (errno.EBUSY, errno.EAGAIN):
        return "in use by another program; end that one"
    # What pyserial says of a file that takes no settings has no number.
    if number in (errno.ENOTTY, errno.EISDIR) or number is None:
        return "not a serial port, or not one that takes these settings"
    return os.strerror(number)
