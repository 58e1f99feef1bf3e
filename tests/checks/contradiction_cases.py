"""The contradiction check on texts without contradictions, on made ones, and on resampled sentences.

Run by hand, ``python -m tests.checks.contradiction_cases DIR [-v]``. `DIR` holds JSONL files. Rows with `steps` count
as free of contradictions where `first_error` is -1, rows with `response` where `hallucinated` is false: findings there
are false alarms. Rows with `resample` are pairs of sentences on one topic. Then statements are made and contradicted
later in each tenth of the clean texts.
"""

from __future__ import annotations

import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from guard import registry
from guard.checks import Context, Resources
from guard.core.segmenter import Segmenter
from guard.core.types import Evidence, Finding, Segment

PLUGIN = registry.plugin("checks", "contradiction")
CHECK = PLUGIN(PLUGIN.Params(), Resources())
INTERRUPT_AT = 0.85
_TOKEN = re.compile(r"\w+|[^\w\s]")
MADE = (
    ("{name} was born in {year}.", "{name}, born in {other_year}, grew up by the sea."),
    ("{name} was born in {year}.", "{last} was born in {other_year}."),
    ("{name} died in {year}.", "{name} died on March 3, {other_year}."),
    ("The firm of {last} was founded in {year}.", "The firm of {last} was founded in {other_year}."),
    ("The meeting is on Tuesday.", "The meeting is on Thursday."),
    ("The concert starts at 7 pm.", "The concert starts at 9 pm."),
    ("The capital of {place} is {town}.", "The capital of {place} is {other_town}."),
    ("The population of {place} is {number}.", "The population of {place} is {other_number}."),
    ("{place} has {few} provinces.", "{place} has {other_few} provinces."),
    ("Mount {place} is {number} metres high.", "Mount {place} is {other_number} metres high."),
    ("{name} was a member of the council.", "{name} was not a member of the council."),
    ("The bridge of {town} was built in {year}.", "The bridge of {town} was built in {other_year}."),
    ("There are {few} bridges in {town}.", "There are {other_few} bridges in {town}."),
    ("{name}'s novel was published in {year}.", "It came out in {other_year}, the novel of {name}."),
    ("{name} won the race.", "{name} lost the race."),
)


def segments(text: str, first: int = 0) -> Iterator[Segment]:
    """A text as the server cuts it."""
    cutter, start = Segmenter(), 0
    ends = cutter.feed(text)
    last = cutter.flush()
    for number, end in enumerate([*ends, *([last] if last else [])], first):
        yield Segment(id=number, channel="content", start=start, end=end, text=text[start:end], attempt=0)
        start = end


def findings(text: str, spent: list[float]) -> list[tuple[Segment, Finding]]:
    """What is found in a text, segment by segment."""
    kept: list[Segment] = []
    context = Context(evidence=Evidence(), standing=lambda: tuple(kept))
    found: list[tuple[Segment, Finding]] = []
    for segment in segments(text):
        before = time.process_time()
        found += [(segment, finding) for finding in CHECK.examine(segment, context)]
        spent.append((time.process_time() - before) * 1000)
        kept.append(segment)
    return found


def clean_text(row: Any) -> str:
    """A row's text where people found no fault in it."""
    if row.get("first_error") == -1:
        return "\n".join(row["steps"])
    return "" if row.get("hallucinated", True) else str(row["response"])


def made(rng: random.Random) -> dict[str, str]:
    """Names and values to fill in."""
    first, last = rng.choice(["Ada", "Tomas", "Mirel", "Olga"]), rng.choice(["Velm", "Kestrel", "Ostrander", "Quill"])
    year, few, number = rng.randint(1700, 1990), rng.randint(3, 12), rng.randint(1000, 90_000)
    return {
        "name": f"{first} {last}",
        "last": last,
        "place": rng.choice(["Ostria", "Velland", "Karst"]),
        "town": rng.choice(["Brengate", "Holm"]),
        "other_town": rng.choice(["Tarn", "Eskby"]),
        "year": str(year),
        "other_year": str(year + rng.randint(1, 30)),
        "few": str(few),
        "other_few": str(few + rng.randint(1, 9)),
        "number": f"{number:,}",
        "other_number": f"{number * 2:,}",
    }


def recall(texts: Sequence[str]) -> None:
    """How many statements that are contradicted later in a text are found, by the form of the statement."""
    rng, hit, every = random.Random(5), Counter[str](), Counter[str]()
    for number, text in enumerate(texts):
        one, other = MADE[number % len(MADE)]
        filled = made(rng)
        parts = [segment.text for segment in segments(text)]
        parts.insert(rng.randint(0, len(parts) // 2), f"\n{one.format(**filled)}\n")
        parts.insert(rng.randint(len(parts) // 2 + 1, len(parts)), f"\n{other.format(**filled)}\n")
        every[other] += 1
        hit[other] += any(finding.score >= 0.5 for _, finding in findings("".join(parts), []))
    print(f"made contradictions: {sum(hit.values())} of {sum(every.values())} found")
    for other, count in sorted(every.items()):
        print(f"  {hit[other]} of {count}: {other}")


def pairs(rows: Sequence[Any]) -> None:
    """Findings where a second answer follows the first."""
    hit, every = Counter[bool](), Counter[bool]()
    for row in rows:
        every[row["contradicts"]] += 1
        before = [s for text in (row["prefix"], row["sentence"]) for s in [text.strip()] if s]
        text = " ".join([*before, row["resample"]])
        at = len(text) - len(row["resample"])
        hit[row["contradicts"]] += any(segment.end > at for segment, _ in findings(text, []))
    print(f"pairs: {hit[True]} of {every[True]} that contradict, {hit[False]} of {every[False]} that do not")


def main(folder: Path, *options: str) -> None:
    """Print the figures of every file in the folder."""
    texts: list[str] = []
    for path in sorted(folder.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.open(encoding="utf-8")]
        if "resample" in rows[0]:
            pairs(rows)
            continue
        clean, spent = [text for row in rows if (text := clean_text(row))], [0.0]
        found = [(segment, finding) for text in clean for segment, finding in findings(text, spent)]
        tokens = max(1, sum(len(_TOKEN.findall(text)) for text in clean))
        cut = sum(finding.score >= INTERRUPT_AT for _, finding in found)
        spent.sort()
        print(
            f"{path.stem}: {len(clean)} clean texts, {tokens} tokens; {len(found)} findings ="
            f" {1000 * len(found) / tokens:.3f} per 1,000, {cut} = {1000 * cut / tokens:.3f} interrupted;"
            f" ms p50 {spent[len(spent) // 2]:.3f}, p99 {spent[len(spent) * 99 // 100]:.3f}"
        )
        if "-v" in options:
            for segment, finding in found:
                print(f"  {finding.score} {segment.text.strip()!r}: {finding.reason!r}")
        texts += clean[::10]
    recall(texts)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
