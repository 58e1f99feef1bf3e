"""Puts into words what is wrong with a statement: which words the evidence has not, or what it says instead.

It does not know how sure it is; that is the model's score. The reason never says more than is so: "do not mention" only
of words whose stems the evidence has nowhere, "say x, not y" only of a `difference`. A quote stands in its passage
letter for letter. The user's own words give no correction.
"""

from __future__ import annotations

import re

from guard.checks.grounding.difference import Difference
from guard.checks.grounding.passages import Index, Unit
from guard.checks.grounding.statement import EMPTY, Statement
from guard.checks.grounding.words import Word
from guard.core.types import Evidence, Finding

QUOTED = 0.3
"""A unit that says this share of a statement is its evidence."""
MOST_WORDS = 5
"""Words of a phrase that is said not to be mentioned."""
MOST_CITED = 80
"""Characters at a statement's end in which the passages it cites are looked for."""
_TAIL = re.compile(r"(?:\(?\b(?:passages?|documents?|sources?)\s+\d[\s\d,&and]*\)?|\[\d+\])[\s.]*$", re.I)
_LEAD = re.compile(r"\s*(?:[-*•+]+\s+|\(?(?:\d{1,3}|[A-Za-z])[.)]\s+|#+\s+)?")
_ENDED = re.compile(r"[.!?][\"'”’)]*$")


def unsupported(said: Statement, index: Index, evidence: Evidence, score: float) -> Finding:
    """The finding for a statement that the evidence does not bear out."""
    new = phrases(said)
    told = " or ".join(f"'{phrase}'" for phrase in new)
    best = said.best[0] if said.best and said.covers[0] >= QUOTED else -1
    start, end = bounds(said.text)
    return Finding(
        score=score,
        reason=f"the passages do not mention {told}." if told else "the passages do not say that.",
        evidence=quote((index.units[best] or EMPTY) if best >= 0 else EMPTY, evidence),
        subject=new[0] if new else "",
        start=start,
        end=end,
    )


def different(found: Difference, evidence: Evidence, score: float) -> Finding:
    """The finding for a statement that has one number or name wrong."""
    quoted = quote(found.unit, evidence)
    sentence = " ".join(quoted.split())
    return Finding(
        score=score,
        reason=f"the passages say {found.right}, not {found.said}.",
        correction=sentence if _ENDED.search(sentence) or not sentence else f"{sentence}.",
        evidence=quoted,
        subject=found.said,
        start=found.start,
        end=found.end,
    )


def quote(unit: Unit, evidence: Evidence) -> str:
    """What the unit's passage has of it letter for letter, or ""."""
    if unit.passage < 0 or not unit.raw:
        return ""
    return unit.raw if unit.raw in evidence.passages[unit.passage].text else ""


def bounds(text: str) -> tuple[int, int]:
    """The characters of the statement itself: without its list marker, the passages it cites and outer space."""
    lead = _LEAD.match(text)
    start = lead.end() if lead else 0
    end = len(text.rstrip())
    tail = _TAIL.search(text, max(start, end - MOST_CITED), end)
    if tail and text[start : tail.start()].strip():
        end = len(text[: tail.start()].rstrip())
    return min(start, end), end


def phrases(said: Statement) -> list[str]:
    """One or two runs of new words as they are written: names and numbers where there are any, else the rarest."""
    known = {word.start for word in said.novel}
    runs: list[list[Word]] = []
    for at, word in enumerate(said.words):
        if word.start not in known:
            continue
        if runs and runs[-1][-1] is said.words[at - 1] and _joins(runs[-1], word, said):
            runs[-1].append(word)
        else:
            runs.append([word])
    rare = {word.start: said.rare[at] for at, word in enumerate(said.words)}
    runs = [run for run in runs if any(_is_name(word, said) for word in run)] or runs
    runs.sort(key=lambda run: -sum(rare[word.start] for word in run))
    return [said.text[run[0].start : run[-1].end] for run in sorted(runs[:2], key=lambda run: run[0].start)]


def _is_name(word: Word, said: Statement) -> bool:
    """A number, or a capital that does not only begin the sentence."""
    return word.digit or (word.capital and word is not said.words[0])


def _joins(run: list[Word], word: Word, said: Statement) -> bool:
    """Whether a run may go on with the word: not too long, and only a space or a hyphen between."""
    return len(run) < MOST_WORDS and said.text[run[-1].end : word.start] in (" ", "-")
