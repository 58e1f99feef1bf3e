"""The fields check on labelled descriptions of records.

Run by hand, ``python -m tests.checks.fields_cases DIR [-v]``. `DIR` holds JSONL files of rows with `context`,
`response`, `spans` and `hallucinated`. Files whose contexts are JSON give AUROC, span F1 and false interruptions, for
each half of the contexts; the others give false alarms on answers that people found without fault, with their own
context and beside records of other things.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard import registry
from guard.checks import Context, NotApplicable, Resources
from guard.core.segmenter import Segmenter
from guard.core.types import Evidence, Finding, Passage, Segment
from tests.checks.test_fields_records import RECORDS

PLUGIN = registry.plugin("checks", "fields")
CHECK = PLUGIN(PLUGIN.Params(), Resources())
INTERRUPT_AT, FLAG_AT = 0.85, 0.5
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Found:
    """A finding with the characters of its segment and of itself in the answer."""

    finding: Finding
    segment: tuple[int, int]
    span: tuple[int, int]


@dataclass(frozen=True)
class Judged:
    """An answer with what was found in it."""

    row: Any
    found: tuple[Found, ...]

    @property
    def score(self) -> float:
        """The highest of its findings."""
        return max((found.finding.score for found in self.found), default=0.0)


def segments(text: str) -> Iterator[Segment]:
    """A text as the server cuts it."""
    cutter, start = Segmenter(), 0
    ends = cutter.feed(text)
    last = cutter.flush()
    for number, end in enumerate([*ends, *([last] if last else [])]):
        yield Segment(id=number, channel="content", start=start, end=end, text=text[start:end], attempt=0)
        start = end


def judged(row: Any, spent: list[float]) -> Judged:
    """One answer, segment by segment."""
    context = Context(evidence=Evidence(passages=(Passage(source="evidence", text=row["context"]),)))
    found: list[Found] = []
    for segment in segments(row["response"]):
        before = time.process_time()
        result = CHECK.examine(segment, context)
        spent.append((time.process_time() - before) * 1000)
        for finding in () if isinstance(result, NotApplicable) else result:
            end = segment.end if finding.end is None else segment.start + finding.end
            found.append(Found(finding, (segment.start, segment.end), (segment.start + finding.start, end)))
    return Judged(row, tuple(found))


def auroc(rows: Sequence[Judged]) -> float:
    """How often a faulty answer scores above a faultless one, in percent."""
    bad = [row.score for row in rows if row.row["hallucinated"]]
    good = [row.score for row in rows if not row.row["hallucinated"]]
    pairs = sum((b > g) + 0.5 * (b == g) for b in bad for g in good)
    return 100 * pairs / max(1, len(bad) * len(good))


def _marked(row: Any, at: tuple[int, int]) -> bool:
    return any(span["start"] < at[1] and at[0] < span["end"] for span in row["spans"])


def span_f1(rows: Sequence[Judged], least: float, of: str = "segment") -> float:
    """Characters in common with the marked spans."""
    right = said = marked = 0
    for judged in rows:
        wanted = {c for span in judged.row["spans"] for c in range(span["start"], span["end"])}
        given = {c for f in judged.found if f.finding.score >= least for c in range(*getattr(f, of))}
        right, said, marked = right + len(wanted & given), said + len(given), marked + len(wanted)
    return 200 * right / max(1, said + marked)


def false_rate(rows: Sequence[Judged], least: float) -> tuple[int, float]:
    """Segments interrupted without a marked span in them, and how many that is in 1,000 unmarked tokens."""
    clean = wrong = 0
    for judged in rows:
        text = judged.row["response"]
        clean += sum(not _marked(judged.row, token.span()) for token in _TOKEN.finditer(text))
        cut = {f.segment for f in judged.found if f.finding.score >= least}
        wrong += sum(not _marked(judged.row, segment) for segment in cut)
    return wrong, 1000 * wrong / max(1, clean)


def report(name: str, rows: Sequence[Judged]) -> None:
    """The figures of some answers."""
    best = max((span_f1(rows, least / 100), least / 100) for least in range(10, 100, 5))
    inner = max((span_f1(rows, least / 100, "span"), least / 100) for least in range(10, 100, 5))
    wrong, rate = false_rate(rows, INTERRUPT_AT)
    caught = sum(row.score >= INTERRUPT_AT for row in rows if row.row["hallucinated"])
    bad = sum(row.row["hallucinated"] for row in rows)
    print(
        f"{name}: {len(rows)} answers, {bad} faulty; AUROC {auroc(rows):.1f}; span F1 {best[0]:.1f} at {best[1]}"
        f" (own spans {inner[0]:.1f} at {inner[1]}); caught {caught}; false {wrong} = {rate:.2f} per 1,000 tokens"
    )


def _half(row: Any) -> int:
    return hashlib.sha256(row["context"].encode()).digest()[0] % 2


def _kinds(rows: Sequence[Judged]) -> None:
    right: Counter[tuple[float, str]] = Counter()
    every: Counter[tuple[float, str]] = Counter()
    for judged in rows:
        for found in judged.found:
            kind = (found.finding.score, found.finding.subject)
            every[kind] += 1
            right[kind] += _marked(judged.row, found.segment)
    for kind, count in sorted(every.items()):
        print(f"  {kind[0]} {kind[1]}: {right[kind]} of {count}")


def main(folder: Path, *options: str) -> None:
    """Print the figures of every file in the folder."""
    for path in sorted(folder.glob("*.jsonl")):
        spent: list[float] = []
        rows = [judged(json.loads(line), spent) for line in path.open(encoding="utf-8")]
        if not any("spans" in row.row for row in rows):
            continue
        if any(row.row["context"].startswith("{") for row in rows):
            for half in (0, 1):
                report(f"{path.stem}, half {half}", [row for row in rows if _half(row.row) == half])
            report(path.stem, rows)
            _kinds(rows)
            if "-v" in options:
                show(rows)
        else:
            clean = [row for row in rows if not row.row["hallucinated"]]
            hit = sum(bool(row.found) for row in clean)
            print(f"{path.stem}: {hit} of {len(clean)} faultless answers with a finding")
            control([row.row for row in clean])
            if "-v" in options:
                show(clean)
        spent.sort()
        print(f"  ms: p50 {spent[len(spent) // 2]:.3f}, p99 {spent[len(spent) * 99 // 100]:.3f}, max {spent[-1]:.2f}")


def control(rows: Sequence[Any]) -> None:
    """How often answers about other things are found to contradict a record of orders, weather, flights, ..."""
    tokens = cut = flagged = 0
    for row in rows:
        for record in RECORDS.values():
            context = record if isinstance(record, str) else json.dumps(record)
            found = judged(row | {"context": context}, []).found
            tokens += len(_TOKEN.findall(row["response"]))
            cut += sum(f.finding.score >= INTERRUPT_AT for f in found)
            flagged += sum(f.finding.score >= FLAG_AT for f in found)
    rates = 1000 * cut / max(1, tokens), 1000 * flagged / max(1, tokens)
    print(f"  beside unrelated records: {rates[0]:.3f} interrupted, {rates[1]:.3f} flagged per 1,000 tokens")


def show(rows: Sequence[Judged]) -> None:
    """Every finding, and whether people had marked something in its segment."""
    for judged in rows:
        for f in judged.found:
            mark = "ok " if _marked(judged.row, f.segment) else "BAD"
            text = judged.row["response"]
            print(
                mark,
                f.finding.score,
                f.finding.reason,
                "|",
                f.finding.evidence[:60],
                "|",
                text[slice(*f.segment)].strip(),
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
