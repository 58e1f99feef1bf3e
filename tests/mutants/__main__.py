"""Applies each mutant to a copy of the package and runs the tests that must fail then.

Usage: `python -m tests.mutants [WORD]`; with a word, only the mutants whose name has it. Exit status 1: one survived.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.mutants.catalogue import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]


def copied(into: Path) -> None:
    """The package and the tests of its core."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "guard" / "core", into / "guard" / "core", ignore=ignore)
    shutil.copytree(ROOT / "tests" / "core", into / "tests" / "core", ignore=ignore)
    for name in ("guard/__init__.py", "tests/__init__.py", "pyproject.toml"):
        shutil.copy(ROOT / name, into / name)


def run(where: Path, tests: Iterable[str]) -> tuple[int, str]:
    """Exit status and output of pytest on these tests, with the package that lies at `where`."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no"]
    command += [f"tests/core/{test}" for test in tests]
    environment = os.environ | {"PYTHONPATH": str(where), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def killer(where: Path, mutant: Mutant) -> str | None:
    """The test that notices the mutant, or None if it survives."""
    path = where / "guard" / "core" / f"{mutant.module}.py"
    source = path.read_text()
    if (found := source.count(mutant.old)) != 1:
        raise SystemExit(f"mutant {mutant.name!r}: its text is in {path.name} {found} times, not once")
    try:
        path.write_text(source.replace(mutant.old, mutant.new))
        status, output = run(where, mutant.tests)
    finally:
        path.write_text(source)
    if status == 0:
        return None
    failed = re.search(r"^FAILED tests/core/(.+?)(?: - .*)?$", output, re.M)
    if status != 1 or failed is None:
        raise SystemExit(f"mutant {mutant.name!r}: the tests did not run:\n{output}")
    return failed[1]


def main(word: str = "") -> int:
    """Print the table; return the exit status."""
    chosen = [mutant for mutant in MUTANTS if word in mutant.name]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        copied(where)
        status, output = run(where, sorted({test for mutant in chosen for test in mutant.tests}))
        if status:
            raise SystemExit(f"the tests fail without any mutant:\n{output}")
        for mutant in chosen:
            killed = killer(where, mutant)
            survivors += killed is None
            print(f"{mutant.rule}  {mutant.name:<58} {killed or 'SURVIVED'}", flush=True)
    print(f"{len(chosen)} mutants, {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:2]))
