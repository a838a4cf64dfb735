"""The boards there are."""

from hw.boards.board import Board
from hw.boards.ecpix5 import Ecpix5
from hw.boards.versa_ecp5 import VersaEcp5

__all__ = ["BOARDS"]

BOARDS: dict[str, Board] = {board.name: board for board in (Ecpix5(), VersaEcp5())}
"""By name."""
