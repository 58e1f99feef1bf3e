"""How fast a log of any size becomes training rows, and in how much memory: `python -m tests.bench.export_scale ROWS`.

Each way of exporting has a process of its own, so that the peak of memory is that of the export alone. The records are
made up while they are read; what a database adds to their reading `tests.bench.store_scale` measures.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from guard.core.records import InterruptionRecord, Review, SessionRecord
from guard.harvest import local
from guard.harvest.counts import Counts
from guard.harvest.maker import Job
from guard.harvest.run import run
from guard.harvest.seen import Dedupe
from guard.harvest.sink import place
from guard.store.codec import decode, encode
from tests.exporters.records import record

WAYS = (("prompt_completion", "exact"), ("clean", "exact"), ("prompt_completion", "near"))
TEMPLATE = record(review="confirmed")
WORDS = "city capital river parliament harbour largest oldest founded second population seat state region north".split()


def made(number: int) -> Iterator[InterruptionRecord]:
    """Records that are all different, with a context of some 2,000 characters; every 20th repeats another, and every
    tenth turn never ends."""
    for n in range(number):
        of = n if n % 20 else n // 40
        drawn = random.Random(of)
        words = " ".join(f"{drawn.choice(WORDS)}{drawn.randrange(997)}" for _ in range(160))
        key = f"s{n:08d}"
        asked = [{"role": "system", "content": words}, {"role": "user", "content": f"What is case {of} about?"}]
        source = replace(
            TEMPLATE.provenance, session=key, conversation=f"c{n % 5_000}", messages=asked, started=1.7e9 + n
        )
        cut = replace(TEMPLATE.interruption, id=f"{key}.0.1", kept={"reasoning": f"They ask about {of}. {words[:300]}"})
        assert TEMPLATE.closing is not None
        ended = replace(TEMPLATE.closing, id=cut.id, followed=f" So it is {of}.", complete=bool(n % 10))
        yield replace(TEMPLATE, interruption=cut, provenance=source, closing=ended, at=1.7e9 + n)


class Synthetic:
    """A log of that many interruptions, each read from its JSON text as a store's is; nothing of it is kept."""

    def __init__(self, number: int) -> None:
        self._number = number

    def interruptions(self) -> Iterator[InterruptionRecord]:
        """See Source."""
        return (decode(encode(record), InterruptionRecord) for record in made(self._number))

    def sessions(self) -> Iterator[SessionRecord]:
        """See Source."""
        return iter(())

    def reviews(self) -> Mapping[str, Review]:
        """See Source."""
        return {}

    def missed(self) -> Mapping[str, Sequence[str]]:
        """See Source."""
        return {}

    def reviewed(self) -> Mapping[str, tuple[int, int]]:
        """See Source."""
        return {}

    def rates(self) -> Mapping[str, int]:
        """See Source."""
        return {"interruptions": self._number}


def measured(number: int, format_: str, dedupe: Dedupe) -> str:
    """One export, in this process, and what came of it."""
    with tempfile.TemporaryDirectory(prefix="export-scale-") as folder:
        out, counted, begun = Path(folder) / "rows", Counts(), time.process_time()
        job = Job(format=format_, near=dedupe == "near")
        rows = local.rows(job, Synthetic(number), counted)
        done = run(rows, counted, place(out, 0.02, None), out, dedupe=dedupe, share=0.02)
        seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    left = ", ".join(f"{n} {why}" for why, n in done.left_out.items())
    return (
        f"{number} records, {done.rows} rows ({left}) in {seconds:.0f} s of processor time: "
        f"{done.rows / seconds:.0f} rows/s; peak {peak} MiB"
    )


def main() -> None:
    """Measure every way."""
    asked = argparse.ArgumentParser(description="Measures exports.")
    asked.add_argument("rows", type=int, nargs="?", default=1_000_000)
    asked.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.one:
        print(measured(given.rows, *given.one))
        return
    for way in WAYS:
        command = [sys.executable, "-m", "tests.bench.export_scale", str(given.rows), "--one", *way]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"{', '.join(way)}: {said.strip()}", flush=True)


if __name__ == "__main__":
    main()
