"""What must hold of a connection after every event, whatever has happened."""

from itertools import pairwise

from stack.tcp.connection import Connection
from stack.tcp.progress import CaState
from stack.tcp.scoreboard import Scoreboard
from stack.tcp.state import State


def check_scoreboard(board: Scoreboard, *, sack: bool) -> None:
    """Sums and order agree with the records."""
    records = board.records
    assert all(first.end == second.start for first, second in pairwise(records))
    assert all(sent.start < sent.end for sent in records)
    assert board.lost == sum(sent.end - sent.start for sent in records if sent.lost)
    assert board.retransmitted == sum(sent.end - sent.start for sent in records if sent.in_retransmission)
    if sack:
        assert board.sacked == sum(sent.end - sent.start for sent in records if sent.sacked)
    assert not any(sent.sacked and (sent.lost or sent.in_retransmission) for sent in records)
    waiting = [sent for sent in records if sent.lost and not sent.in_retransmission]
    assert board.first_lost() is (waiting[0] if waiting else None)
    watched = [sent for sent in records if not sent.sacked and (sent.in_retransmission or not sent.lost)]
    assert set(board.by_time) == set(watched)
    orders = [sent.order for sent in board.by_time]
    assert orders == sorted(orders), "RACK needs them in the order of sending"


def check(connection: Connection) -> None:
    """RFC 9293 section 3.3.1 and 3.8, and the stack's own bookkeeping."""
    sender, receiver = connection.sender, connection.receiver
    if connection.state is State.CLOSED:
        assert sender.timer.deadline is None
        return
    assert sender.initial <= sender.una <= sender.nxt <= sender.end + sender.fin_queued
    assert receiver.acknowledged <= receiver.nxt <= receiver.edge + 1
    assert len(receiver.buffer) <= receiver.limit + receiver.mss
    board = sender.board
    check_scoreboard(board, sack=sender.sack)
    if sender.una < sender.nxt:
        assert board.records[0].start == sender.una
        assert board.records[-1].end == sender.nxt
        assert sender.timer.deadline is not None, "something is on its way and nothing watches it"
    else:
        assert not board.records
        assert board.sacked == board.lost == board.retransmitted == 0
    assert sender.in_flight >= 0
    assert board.sacked + board.lost <= sender.nxt - sender.una
    assert sender.congestion.cwnd > 0
    assert sender.congestion.ssthresh >= 2 * sender.congestion.mss
    if sender.recovery.state is CaState.OPEN:
        assert not board.lost
    blocks = receiver.sacks.blocks
    assert all(receiver.nxt < left < right <= receiver.edge for left, right in blocks)
