"""The NIC on boards. A board is a class of ``hw.boards.board.Board``; ``hw.boards.all.BOARDS`` names them."""
