"""The citation check on cases made from labelled answers and their sources.

Run by hand: ``python -m tests.checks.citation_cases DIR [-v]``. `DIR` holds JSONL files of rows with `context`,
`question`, `response`, `hallucinated`. From each context come pairs: a quote as it stands or in an editor's form, and
the same with a word, a number or a negation changed; a reference that is there, and one that is not. Prints precision
and recall by kind at the score a policy interrupts at, and how often the check would interrupt answers that people
found without fault; -v also the cases it gets wrong.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.checks import Context, NotApplicable, Resources
from guard.checks.citation import plugin
from guard.core.segmenter import Segmenter
from guard.core.types import Evidence, Finding, Passage, Segment

CHECK = plugin(plugin.Params(), Resources())
INTERRUPT_AT = 0.85
_SENTENCE = re.compile(r"(?<=[.!?] )[A-Z][^.!?\n\"“”/\[\]()<>\\…]{40,220}[.!?](?=\s)")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_CONTENT = re.compile(r"\b[a-z]{6,}\b")
_IS = re.compile(r"\b(?:is|are|was|were|will|can)\b")
OPENINGS = (
    'The passage says "{}"',
    'According to the document, "{}"',
    "As stated in the text, “{}”",
    'The article notes: "{}"',
    '"{}" is what the source says.',
)


@dataclass(frozen=True)
class Case:
    """A statement, what it is checked against, and whether it cites what is not there."""

    kind: str
    text: str
    evidence: tuple[str, ...]
    is_wrong: bool


def findings(text: str, evidence: Sequence[str], question: str = "") -> list[Finding]:
    """What the check finds in a text, segment by segment."""
    passages = [Passage(source="evidence", text=passage) for passage in evidence]
    passages += [Passage(source="user", text=question)] if question else []
    context = Context(evidence=Evidence(passages=tuple(passages), question=question))
    found: list[Finding] = []
    for segment in segments(text):
        result = CHECK.examine(segment, context)
        found += () if isinstance(result, NotApplicable) else result
    return found


def segments(text: str) -> Iterator[Segment]:
    """A text as the server cuts it."""
    cutter, start = Segmenter(), 0
    ends = cutter.feed(text)
    last = cutter.flush()
    for number, end in enumerate([*ends, *([last] if last else [])]):
        yield Segment(id=number, channel="content", start=start, end=end, text=text[start:end], attempt=0)
        start = end


def interrupts(found: Sequence[Finding]) -> int:
    """How many of these a policy would interrupt at."""
    return sum(finding.score >= INTERRUPT_AT for finding in found)


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of every file in the folder."""
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines)


def cases(contexts: Sequence[str], rng: random.Random) -> Iterator[Case]:
    """Pairs from each context; what is invented in one is taken from another."""
    for context, other in zip(contexts, [*contexts[1:], contexts[0]], strict=True):
        yield from _quotes(context, other, rng)
        yield from _labels(context, rng)
        yield from _named(context, rng)


def _quotes(context: str, other: str, rng: random.Random) -> Iterator[Case]:
    sentences, others = _SENTENCE.findall(context), _SENTENCE.findall(other)
    if not sentences or not others:
        return
    said, opening = rng.choice(sentences), rng.choice(OPENINGS)
    edited = rng.choice(EDITS)(said, rng)
    yield Case("quote", opening.format(edited), (context,), False)
    for kind, change in CHANGES.items():
        if (wrong := change(said, other, rng)) and wrong not in context:
            yield Case(kind, opening.format(wrong), (context,), True)
    invented = rng.choice(others)
    if invented not in context:
        yield Case("quote, invented", opening.format(invented), (context,), True)


def _shortened(said: str, rng: random.Random) -> str:
    words = said.split()
    return " ".join([*words[: len(words) // 2], "...", *words[len(words) // 2 + 2 :]])


EDITS: tuple[Callable[[str, random.Random], str], ...] = (
    lambda said, rng: said,
    lambda said, rng: said.lower(),
    lambda said, rng: said[:-1] + ",",
    lambda said, rng: said.replace("-", "–").replace("'", "’"),
    lambda said, rng: said.replace(" ", "  ", 3),
    lambda said, rng: " ".join(said.split()[1:]),
    lambda said, rng: "[It] " + " ".join(said.split()[1:]),
    _shortened,
)


def _swapped(said: str, other: str, rng: random.Random) -> str:
    mine, theirs = _CONTENT.findall(said), [w for w in _CONTENT.findall(other) if w not in said]
    mine = [word for word in mine if not any(word[:4] == w[:4] for w in theirs)]
    if not mine or not theirs:
        return ""
    return re.sub(rf"\b{rng.choice(mine)}\b", rng.choice(theirs), said, count=1)


def _renumbered(said: str, other: str, rng: random.Random) -> str:
    numbers = re.findall(r"(?<![\d.,])\d{1,4}(?![\d.,]\d)", said)
    if not numbers:
        return ""
    number = rng.choice(numbers)
    return re.sub(rf"(?<![\d.,]){number}(?!\d)", str(int(number) + rng.randint(1, 9)), said, count=1)


def _negated(said: str, other: str, rng: random.Random) -> str:
    if " not " in said:
        return said.replace(" not ", " ", 1)
    return _IS.sub(lambda found: found[0] + " not", said, count=1) if _IS.search(said) else ""


CHANGES: Mapping[str, Callable[[str, str, random.Random], str]] = {
    "quote, a word changed": _swapped,
    "quote, a number changed": _renumbered,
    "quote, negated": _negated,
}


def _labels(context: str, rng: random.Random) -> Iterator[Case]:
    known = sorted({int(n) for n in re.findall(r"(?m)^passage (\d+):", context)})
    if len(known) > 1:
        opening = rng.choice(["Passage {} describes it.", "It is so (passage {}).", "According to passage {}, it is."])
        yield Case("passage", opening.format(rng.choice(known)), (context,), False)
        yield Case("passage, invented", opening.format(known[-1] + rng.randint(1, 5)), (context,), True)
    parts = [part for part in context.split("\n") if part.strip()][:6]
    numbered = "\n".join(f"{n // 3 + 1}.{n % 3 + 1} Terms\n{part}" for n, part in enumerate(parts))
    if len(parts) == 6:
        opening = rng.choice(
            ["As the contract says in Section {}, it is.", "The document states in section {} that it is."]
        )
        yield Case("section", opening.format(rng.choice(["1.1", "1.3", "2.2"])), (numbered,), False)
        yield Case("section, invented", opening.format(rng.choice(["1.7", "3.2", "9.1"])), (numbered,), True)


def _named(context: str, rng: random.Random) -> Iterator[Case]:
    word = rng.choice(_CONTENT.findall(context) or ["nothing"])
    here, there = (str(rng.randint(1000, 9999)) for _ in range(2))
    for kind, form, opening in NAMED:
        true, wrong = form.format(word=word, n=here), form.format(word=word, n=there)
        evidence = (context, f"{kind}: {true}")
        yield Case(kind, opening.format(true), evidence, False)
        if here != there and wrong not in context:
            yield Case(f"{kind}, invented", opening.format(wrong), evidence, True)


NAMED = (
    ("link", "https://www.{word}.org/news/{n}", "According to the article at {}, it is so."),
    ("doi", "10.{n}/{word}.21", "The paper is cited as {}."),
    ("order", "A-{n}", "Your order {} is ready."),
    ("ticket", "T{n}", "I have looked at ticket {}."),
    ("file", "src/{word}/part_{n}.py", "The readme says it is in {}:12."),
)


def main(folder: Path, limit: int = 400) -> None:
    """Print what the check makes of the cases, and of answers without fault."""
    rng, every = random.Random(0), list(rows(folder))
    contexts = sorted({row["context"] for row in every if len(row["context"]) > 600})
    rng.shuffle(contexts)
    counts: dict[str, Counter[str]] = {}
    for case in cases(contexts[:limit], rng):
        told = interrupts(findings(case.text, case.evidence)) > 0
        name = case.kind.partition(",")[0]
        for kind in {case.kind, name, "all"} if case.is_wrong else {name, "all"}:
            counts.setdefault(kind, Counter())[f"{'wrong' if case.is_wrong else 'right'} {told}"] += 1
        if told != case.is_wrong and "-v" in sys.argv:
            print(case.kind, case.text, sep=" | ")
    for kind, count in sorted(counts.items()):
        print(f"{kind:28} {_figures(count)}")
    _clean(every)


def _figures(count: Counter[str]) -> str:
    hit, missed, false = count["wrong True"], count["wrong False"], count["right True"]
    precision = f"{hit / (hit + false):.4f}" if hit + false else "-"
    recall = f"{hit / (hit + missed):.4f}" if hit + missed else "-"
    return f"cases {count.total():5}  precision {precision}  recall {recall}  false alarms {false}"


def _clean(every: Sequence[Mapping[str, Any]]) -> None:
    tokens: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for row in every:
        if not row["hallucinated"]:
            name = f"{row['dataset']} {row['task']}"
            tokens[name] += len(_TOKEN.findall(row["response"]))
            told[name] += interrupts(findings(row["response"], (row["context"],), row["question"] or ""))
    for name, count in tokens.items():
        print(
            f"{name:28} clean tokens {count:7}  interruptions {told[name]:3}  per 1,000 {1000 * told[name] / count:.4f}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
