"""Labelled answers as rows of features, for `guard.train.grounding`: cut and read by the code that meets the stream.

Input: JSONL as `guard eval grounded` reads it (`id dataset question context response spans hallucinated`). Output:
one `Example` a segment. Rows of the same source share a group, so that no source is on both sides of a split.
Also makes examples: supported statements with one number or name changed.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from guard.checks.grounding.claims import is_claim
from guard.checks.grounding.grounds import Grounds, Reading
from guard.checks.grounding.statement import Lexicon
from guard.checks.grounding.words import words
from guard.core.segmenter import Segmenter
from guard.core.types import Evidence, Passage, Segment


@dataclass(slots=True, kw_only=True)
class Answer:
    """One labelled row; `segments` are character ranges of `text`."""

    id: str
    source: str
    group: str
    question: str
    context: str
    text: str
    spans: list[tuple[int, int]]
    bad: bool
    segments: list[tuple[int, int]]


@dataclass(slots=True, kw_only=True)
class Example:
    """One segment of answer number `answer`: features, label, and the words the evidence has not, with theirs.

    `made` marks one that was changed by hand; it belongs to its answer's group and is never scored.
    """

    answer: int
    start: int
    end: int
    values: list[float]
    bad: bool
    claim: bool
    novel: list[tuple[str, bool]]
    made: bool = False


def read_folder(folder: Path) -> list[Answer]:
    """All rows of a folder's JSONL files, files in order of their names."""
    return [_answer(json.loads(line), path.stem) for path in sorted(folder.glob("*.jsonl")) for line in _lines(path)]


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if line.strip())


def _answer(row: dict[str, Any], source: str) -> Answer:
    text = row["response"]
    spans = [(span["start"], span["end"]) for span in row["spans"]]
    if row["hallucinated"] and not spans:
        spans = [(0, len(text))]  # labelled as a whole
    question = row["question"] if row["question"] not in (None, "None") else ""
    return Answer(
        id=row["id"],
        source=source,
        group=hashlib.sha256(row["context"][:300].encode()).hexdigest()[:16],
        question=question,
        context=row["context"],
        text=text,
        spans=spans,
        bad=bool(row["hallucinated"]),
        segments=cut(text),
    )


def cut(text: str) -> list[tuple[int, int]]:
    """The segments that guard would cut a text into."""
    segmenter = Segmenter()
    ends = segmenter.feed(text)
    if (last := segmenter.flush()) is not None:
        ends.append(last)
    return list(zip([0, *ends], ends, strict=False))


def grounds(answer: Answer, lexicon: Lexicon, context: str | None = None) -> Grounds:
    """What an answer is held against; `context` puts another one in its place."""
    passages = [Passage(source="evidence", text=answer.context if context is None else context)]
    if answer.question:
        passages.append(Passage(source="user", text=answer.question))
    return Grounds(Evidence(passages=tuple(passages), question=answer.question), lexicon)


def examples(at: int, answer: Answer, held: Grounds, rng: random.Random | None = None) -> Iterator[Example]:
    """One for each segment of an answer, as the stream would meet them; with `rng`, made ones too."""
    before: list[Segment] = []
    for number, (start, end) in enumerate(answer.segments):
        text = answer.text[start:end]
        segment = Segment(id=number, channel="content", start=start, end=end, text=text, attempt=0)
        if rng and (changed := _changed(segment, answer, held, before, rng)):
            wrong = held.read(replace(segment, text=changed), before)
            yield _example(at, answer, segment, wrong, made=True)
        reading = held.read(segment, before)
        before.append(segment)
        yield _example(at, answer, segment, reading, made=False)


def _example(at: int, answer: Answer, segment: Segment, reading: Reading, *, made: bool) -> Example:
    first = segment.start + len(segment.text) - len(segment.text.lstrip())
    return Example(
        answer=at,
        start=first,
        end=segment.end,
        values=reading.values,
        bad=made or overlaps(answer.spans, first, segment.end),
        claim=is_claim(segment.text),
        novel=_novel(reading, answer, segment.start),
        made=made,
    )


def _novel(reading: Reading, answer: Answer, start: int) -> list[tuple[str, bool]]:
    return [(word.stem, overlaps(answer.spans, start + word.start, start + word.end)) for word in reading.said.novel]


def overlaps(spans: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    """Whether any span shares a character with this one."""
    return any(first < end and last > start for first, last in spans)


# Made examples

PLAIN = 0.6
"""The share of a statement that one unit of evidence must say for it to be worth changing."""


def _changed(segment: Segment, answer: Answer, held: Grounds, before: Sequence[Segment], rng: random.Random) -> str:
    """A statement that the evidence plainly has with one thing changed, or ""."""
    if overlaps(answer.spans, segment.start, segment.end) or not is_claim(segment.text):
        return ""
    said = held.read(segment, before).said
    if len(said.novel) > 1 or not said.covers or said.covers[0] < PLAIN:
        return ""
    return rng.choice((_other_number, _other_name))(segment.text, answer.context, rng)


def _other_number(text: str, context: str, rng: random.Random) -> str:
    found = [word for word in words(text) if word.digit and word.start > 4]
    if not found:
        return ""
    word = rng.choice(found)
    own = text[word.start : word.end]
    others = [context[w.start : w.end] for w in words(context) if w.digit and w.stem != word.stem]
    fresh = str(int(float(word.stem)) + rng.choice((1, 2, 5, 10))) if len(word.stem) < 9 else own[::-1]
    new = rng.choice(others) if others and rng.random() < 0.5 else fresh
    return text[: word.start] + new + text[word.end :]


def _other_name(text: str, context: str, rng: random.Random) -> str:
    found = [word for at, word in enumerate(words(text)) if at and word.capital and word.content]
    others = [context[w.start : w.end] for w in words(context) if w.capital and w.content and w.end - w.start > 3]
    if not found or not others:
        return ""
    word, new = rng.choice(found), rng.choice(others)
    return "" if new.lower() in text.lower() else text[: word.start] + new + text[word.end :]
