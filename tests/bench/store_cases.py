"""What the benchmark asks of the store: filters, pairs of them, deep pages, words and sums."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import combinations
from typing import Any

from guard.store import Database, Filter
from tests.bench import store_rows
from tests.bench.store_rows import DAY, DAYS, NOW, RARE_WORD, RETIRED, word

PAGE = 50

Case = tuple[str, str, Callable[[], object]]
"""Group, label, and what is timed."""

VALUES: dict[str, list[dict[str, Any]]] = {
    "model": [{"model": value} for value in ("llama-70b", "tiny", RETIRED, "nobody")],
    "policy": [{"policy": value} for value in ("default", "trial")],
    "check": [{"check": value} for value in ("grounding", "units")],
    "channel": [{"channel": value} for value in ("reasoning", "tool_calls")],
    "correct": [{"correct": value} for value in ("interrupt", "restart")],
    "late": [{"late": value} for value in (False, True)],
    "outcome": [{"outcome": value} for value in ("corrected", "open")],
    "review": [{"review": value} for value in ("unreviewed", "disputed")],
    "user": [{"user": value} for value in ("user0", f"user{store_rows.USERS - 1}", "nobody")],
    "since": [{"since": NOW - DAY}, {"since": NOW - 80 * DAY}],
    "until": [{"until": NOW - DAY}, {"until": NOW - 80 * DAY}],
    "score_min": [{"score_min": value} for value in (0.5, 0.999)],
    "score_max": [{"score_max": value} for value in (0.9, 0.41)],
    "text": [{"text": value} for value in (word(1), word(2500), RARE_WORD, "nowhere")],
}
"""Filters: what is common first, what is rare or nowhere last. Sessions and conversations come with the rows."""

WORDS = {
    "common": word(1),
    "two common": f"{word(1)} {word(2)}",
    "middling": word(400),
    "seldom": word(25_000),
    "rare": RARE_WORD,
    "rare and common": f"{RARE_WORD} {word(1)}",
    "absent": "nowhere",
    "beginning": word(1)[:1],
    "one row": "n77",
}


def cases(database: Database) -> Iterator[Case]:
    """Everything that is measured."""
    pages = {name: [Filter(limit=PAGE, **value) for value in values] for name, values in _values(database).items()}
    single = [wanted for filters in pages.values() for wanted in filters]
    both = [
        Filter(**_given(one) | _given(other))
        for first, second in combinations(pages, 2)
        for one in pages[first]
        for other in pages[second]
    ]
    yield from _finding(database, "any", [Filter(limit=PAGE)])
    yield from _finding(database, "one filter", single)
    yield from _finding(database, "two filters", both)
    for name, text in WORDS.items():
        yield from _finding(database, f"words: {name}", [Filter(limit=PAGE, text=text)])
    yield from _deep(database, [Filter(limit=PAGE), *single, *random.Random(2).sample(both, min(150, len(both)))])
    yield from _sums(database)


def _given(wanted: Filter) -> dict[str, Any]:
    return {name: value for name, value in asdict(wanted).items() if value is not None}


def _values(database: Database) -> dict[str, list[dict[str, Any]]]:
    middle = database.interruptions(Filter(until=NOW - DAYS * DAY / 2, limit=1))[0].provenance
    own = {"session": [{"session": middle.session}], "conversation": [{"conversation": middle.conversation}]}
    return VALUES | own


def _label(wanted: Filter) -> str:
    return " ".join(f"{name}={value}" for name, value in _given(wanted).items() if name not in ("limit", "before"))


def _finding(database: Database, group: str, filters: Sequence[Filter]) -> Iterator[Case]:
    for wanted in filters:
        yield f"page, {group}", _label(wanted), partial(database.interruptions, wanted)
        yield f"count, {group}", _label(wanted), partial(database.count, wanted, cap=1000)


def _deep(database: Database, filters: Sequence[Filter]) -> Iterator[Case]:
    for part in (0.1, 0.5, 0.99):
        mark = database.interruptions(Filter(until=NOW - DAYS * DAY * part, limit=1))[0].interruption.id
        for wanted in filters:
            deep = Filter(**_given(wanted) | {"before": mark})
            yield f"deep page, {part:.0%}", _label(wanted), partial(database.interruptions, deep)


def _sums(database: Database) -> Iterator[Case]:
    yield "facets", "", database.facets
    for reviewer in ("new", "busy", "reviewer1"):
        yield "queue", reviewer, partial(database.queue, reviewer, 50)
    for days, bucket in ((1, 3600), (7, 3600), (30, DAY), (90, DAY)):
        yield f"trends, {days} d", "", partial(database.trends, NOW - days * DAY, NOW, bucket)
    for sum_ in ("reviewed", "quality", "recall", "agreement"):
        yield sum_, "", getattr(database, sum_)
    for kind in ("flagged", "clean"):
        yield "segments", kind, partial(database.segments, 50, kind)
    yield "one record", "", partial(database.interruption, "nobody")
