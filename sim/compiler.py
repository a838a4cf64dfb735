"""``make compiled``: the modules that ``sim.compiled`` names, compiled by mypyc into ``build/compiled``."""

import io
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from setuptools import Distribution
from setuptools.command.build_ext import build_ext

from sim.compiled import ROOT, place, sources
from sim.errors import UserError

__all__ = ["build"]

_OPTIONS = ["--no-warn-return-any", "--no-warn-unused-ignores", "--no-error-summary"]
"""What mypy sees of ``hw`` without Amaranth's types may be anything."""


class _BuildExtensions(build_ext):  # type: ignore[misc]
    """Has the C compiler work on as many files at a time as there are processors."""

    def build_extensions(self) -> None:
        compile_in_turn = self.compiler.compile

        def compile_together(files: list[str], *arguments: Any, **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                made = pool.map(lambda file: compile_in_turn([file], *arguments, **options), files)
            return [name for names in made for name in names]

        self.compiler.compile = compile_together
        self.parallel = os.cpu_count()
        super().build_extensions()


def build() -> Path:
    """Compile the present sources, unless that has been done; returns where the modules lie. Raises ``UserError``."""
    target = place()
    if target.is_dir():
        return target
    if shutil.which("cc") is None:
        raise UserError("no C compiler to make the compiled modules with: install gcc")
    from mypyc.build import mypycify  # takes a second, and is for this alone

    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent) as folder, chdir(ROOT):
        said = io.StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(said):
                extensions = mypycify(
                    [*_OPTIONS, *map(str, sources())],
                    opt_level="2",
                    debug_level="0",
                    multi_file=True,
                    target_dir=f"{folder}/c",
                )
        except SystemExit:
            errors = [line for line in said.getvalue().splitlines() if "error:" in line] or ["it does not say why"]
            raise UserError(f"mypyc cannot compile the sources: {errors[0]}") from None
        for extension in extensions:
            # Calls from module to module need not go through a table that others could change.
            extension.extra_compile_args.append("-fvisibility=hidden")
            # Warnings of compilers that mypyc's makers do not have are none of the user's business.
            extension.extra_compile_args = [flag for flag in extension.extra_compile_args if flag != "-Werror"]
        command = _BuildExtensions(Distribution({"ext_modules": extensions}))
        command.build_lib, command.build_temp = f"{folder}/modules", f"{folder}/objects"
        command.finalize_options()
        command.run()
        for old in target.parent.iterdir():
            if old.suffix == target.suffix:
                shutil.rmtree(old)
        Path(folder, "modules").rename(target)
    return target
