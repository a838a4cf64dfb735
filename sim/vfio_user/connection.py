"""One client's socket: messages with their file descriptors come in, replies go out, and nothing ever blocks.

A message is read in two exact pieces, header and body, so that descriptors (SCM_RIGHTS, sent with a message's first
byte) are never taken for those of another message.
"""

import array
import os
import socket
from dataclasses import dataclass, field

from sim.vfio_user.messages import HEADER_BYTES, MAXIMUM_DESCRIPTORS, BadMessageError, Header, parse_header

__all__ = ["Connection", "Message"]

_ANCILLARY_BYTES = socket.CMSG_SPACE(MAXIMUM_DESCRIPTORS * array.array("i").itemsize)


@dataclass(slots=True)
class Message:
    """A command. Who takes a descriptor out of ``descriptors`` closes it; ``close`` closes those that are left."""

    header: Header
    body: bytes
    descriptors: list[int] = field(default_factory=list)

    def close(self) -> None:
        while self.descriptors:
            os.close(self.descriptors.pop())


class Connection:
    """A connected Unix stream socket, which it owns."""

    def __init__(self, endpoint: socket.socket) -> None:
        endpoint.setblocking(False)
        self._socket = endpoint
        self._header: Header | None = None
        self._data = bytearray()
        self._descriptors: list[int] = []

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> Message | None:
        """The next whole message, or None if it has not come yet.

        Raises ``EOFError`` when the client has closed its end between two messages, ``BadMessageError`` when the stream
        makes no sense any more (cut short, impossible size, too many descriptors).
        """
        while True:
            wanted = HEADER_BYTES if self._header is None else self._header.size - HEADER_BYTES
            if len(self._data) < wanted and not self._read(wanted - len(self._data)):
                return None
            if len(self._data) < wanted:
                continue
            data = bytes(self._data)
            self._data.clear()
            if self._header is None:
                self._header = parse_header(data)
                continue
            message = Message(self._header, data, self._descriptors)
            self._header, self._descriptors = None, []
            return message

    def _read(self, size: int) -> bool:
        """Read at most ``size`` bytes; False if there are none at this time."""
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(size, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        except ConnectionError as error:
            raise BadMessageError(f"the connection broke: {error.strerror}") from None
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors = array.array("i")
                descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
                self._descriptors.extend(descriptors)
        if flags & socket.MSG_CTRUNC or len(self._descriptors) > MAXIMUM_DESCRIPTORS:
            raise BadMessageError(f"more than {MAXIMUM_DESCRIPTORS} file descriptors with one message")
        if not data:
            if self._header is None and not self._data:
                raise EOFError
            raise BadMessageError("the client ended in the middle of a message")
        self._data += data
        return True

    def send(self, data: bytes) -> None:
        """Raises ``BadMessageError`` if the client is gone or has left so many replies unread that no more fit."""
        try:
            sent = self._socket.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise BadMessageError(f"the reply cannot be sent: {error.strerror}") from None
        if sent != len(data):
            raise BadMessageError("the client does not read its replies")

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []
        self._socket.close()
