"""``make fuzz``: every property test over and over, each round with another seed, until stopped.

    python -m tests.fuzz [--seconds N] [--seed N] [--only EXPRESSION] [path ...]

A round runs all tests of the gateware, the driver and the stack that Hypothesis drives, the whole NIC's and its
model's among them.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.examples import COUNT, END, SEED

__all__ = ["main"]

PYTEST_INTERRUPTED = 2


def main() -> int:
    """Exit code: 0 when stopped or the time is over, 1 when a property failed."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, help="stop after this time; without it, on Ctrl-C only")
    parser.add_argument("--seed", type=int, help="seed of the first round; drawn if not given")
    parser.add_argument("--only", default="", help="an expression as pytest's -k takes it")
    parser.add_argument("paths", nargs="*", default=["tests"], help="where the tests are")
    options = parser.parse_args()
    first = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    begin = time.monotonic()
    end = None if options.seconds is None else begin + options.seconds
    print(f"seed {first}; Ctrl-C stops", flush=True)
    seed = first
    with tempfile.TemporaryDirectory() as folder:
        counted = Path(folder) / "count"
        counted.touch()
        try:
            while end is None or time.monotonic() < end:
                code = _round(seed, counted, options, end)
                print(
                    f"{counted.stat().st_size} examples, {seed - first + 1} rounds, {time.monotonic() - begin:.0f} s",
                    flush=True,
                )
                if code == PYTEST_INTERRUPTED:
                    break
                if code:
                    print(f"failed; again with: make fuzz SEED={seed} ONLY=<the test named above>", flush=True)
                    return 1
                seed += 1
        except KeyboardInterrupt:
            print(f"\nstopped: {counted.stat().st_size} examples, no failure", flush=True)
    return 0


def _round(seed: int, counted: Path, options: argparse.Namespace, end: float | None) -> int:
    """pytest's exit code."""
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-x", "--tb=short"),
        *("-p", "tests.fuzz_plugin", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}", "-k", options.only),
        *options.paths,
    ]
    left = {} if end is None else {END: str(end)}
    environment = os.environ | {SEED: str(seed), COUNT: str(counted)} | left
    child = subprocess.Popen(command, env=environment)
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.wait()  # the terminal has told it, too
        raise


if __name__ == "__main__":
    sys.exit(main())
