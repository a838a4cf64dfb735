"""``make fuzz-parsers``: one parser of the stack under coverage-guided fuzzing (atheris, libFuzzer).

    python -m tests.atheris_fuzz TARGET [options of libFuzzer, such as -max_total_time=60]

Targets are those of ``tests/stack/fuzz_targets.py``; what was found interesting is kept in ``build/fuzz/TARGET``.
"""

import os
import sys
from pathlib import Path

__all__ = ["main"]


def main() -> None:
    """Exit code 1 and a file ``crash-...`` when an exception left the stack."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install --requirement requirements-fuzz.lock")
    os.environ["NICLAB_INTERPRETED"] = "1"  # what is compiled cannot be watched
    with atheris.instrument_imports(include=["stack"]):
        from tests.stack import fuzz_targets
    if len(sys.argv) < 2 or sys.argv[1] not in fuzz_targets.TARGETS:
        sys.exit(f"a target is one of: {', '.join(fuzz_targets.TARGETS)}")
    name = sys.argv.pop(1)
    corpus = Path("build/fuzz") / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(fuzz_targets.SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([*sys.argv, str(corpus)], fuzz_targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
