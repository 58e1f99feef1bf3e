"""`guard eval --calibrate OUT --from-store URL`: a calibration from what reviewers said of the log."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

import msgspec

from guard.cli.reading import opened, printable
from guard.core.calibration import VERSION
from guard.errors import ConfigError
from guard.evaluation.recalibrating import check_of, findings, recalibrate
from guard.evaluation.recalibrating_reviews import reviews
from guard.store import Database
from guard.store.engine import name


def recalibrate_from(url: str, out: Path, check: str | None, budget: float, seed: int) -> None:
    """Print what reviewers make of each check, and write one check's calibration.

    Raises ConfigError: too few reviews, more than one check to choose from, or `out` cannot be written.
    """
    if not out.parent.is_dir():
        raise ConfigError(f"{str(out)!r} cannot be written: there is no folder {str(out.parent)!r}")
    store = opened(url)
    try:
        _show(store.database)
        found = reviews(store.database)
    finally:
        asyncio.run(store.close())
    for why, times in found.skipped.items():
        print(f"note: {times} judged claims left out: {why}", file=sys.stderr)
    learnt = recalibrate(found, check_of(found, check), budget=budget, seed=seed)
    kinds = Counter(each.kind for each in found.judged)
    print(f"{printable(learnt['check'])}: calibrated on {findings(found.judged, learnt['check'])}", file=sys.stderr)
    data = {"store": name(url), **{kind: kinds[kind] for kind in ("interruptions", "flagged", "clean")}}
    document = {"version": VERSION, "data": [data], "shape": "reviews", "budget": budget, "seed": seed, **learnt}
    try:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
    except OSError as error:
        raise ConfigError(f"{str(out)!r} cannot be written: {error.strerror}") from None
    print(f"{out} is written; name it at {learnt['check']!r} in a policy: calibration: {out.name}", file=sys.stderr)


def _show(log: Database) -> None:
    """Each check's precision and the log's recall, as reviewers have them, with 95 % intervals."""
    qualities = log.quality()
    for each in qualities:
        judged = each.confirmed + each.rejected
        print(
            f"{printable(each.check)}: {each.confirmed} of {judged} judged interruptions right, "
            f"precision {each.precision:.3f} [{each.low:.3f}, {each.high:.3f}]"
        )
    if not qualities:
        print("no interruption is judged")
    recall = log.recall()
    if recall is None:
        print("recall is not known: no randomly drawn clean statement is judged")
    else:
        print(
            f"recall {recall.value:.3f} [{recall.low:.3f}, {recall.high:.3f}]: "
            f"{recall.missed} of {recall.judged} clean statements drawn at random were missed"
        )
