"""The socket edge: BSD's calls as coroutines, with BSD's errno."""

from stack.socket.base import Address as Address
from stack.socket.base import Socket as Socket
from stack.socket.base import error as error
from stack.socket.constants import *  # noqa: F403
from stack.socket.datagram import DatagramSocket as DatagramSocket
from stack.socket.packet import PacketSocket as PacketSocket
from stack.socket.poll import Epoll as Epoll
from stack.socket.poll import Poll as Poll
from stack.socket.poll import select as select
from stack.socket.raw import IPPROTO_RAW as IPPROTO_RAW
from stack.socket.raw import RawSocket as RawSocket
from stack.socket.stream import StreamSocket as StreamSocket
