"""Bitwuzla as a program, which its package on PyPI lacks: SMT-LIB 2 on standard input, answers on standard output.

Just what Yosys' smtbmc asks for: it starts ``bitwuzla --lang smt2`` and talks to it command by command.
"""

import sys
from collections.abc import Iterable, Iterator

from bitwuzla import Options, Parser, TermManager

__all__ = ["commands", "main"]


def commands(lines: Iterable[str]) -> Iterator[str]:
    """The commands of a script, one or more at a time, as soon as they are complete."""
    text: list[str] = []
    depth = 0
    quoted = False  # within |a symbol|
    for line in lines:
        if not text and line.startswith(";"):
            continue
        for character in line:
            if character == "|":
                quoted = not quoted
            elif not quoted:
                depth += (character == "(") - (character == ")")
        text.append(line)
        if depth == 0:
            yield "".join(text).strip()
            text = []


def main() -> None:
    if "--help" in sys.argv:
        print("usage: bitwuzla --lang smt2, with the script on standard input")
        return
    parser = Parser(TermManager(), Options(), "smt2")
    for command in commands(sys.stdin):
        # The parser counts levels anew in each text that it is given, and refuses a pop in a later text than its push.
        if command == "(push 1)":
            parser.bitwuzla().push(1)
        elif command == "(pop 1)":
            parser.bitwuzla().pop(1)
        elif command == "(exit)":
            return
        elif command:
            parser.parse(command, False, False)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
