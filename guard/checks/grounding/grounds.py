"""A request's evidence and what a channel has said so far, ready to read the next statement.

Training reads its examples through this too, so that what was learned is what is met. It does not know scores.
The index is built once a request; what was said is worked out from the segments that still stand, so a statement that
was discarded or corrected leaves no trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from guard.checks.grounding.claims import LEAST_EVIDENCE, evidence_length, gives_material, is_enough, question_of
from guard.checks.grounding.features import Past, features
from guard.checks.grounding.passages import Index
from guard.checks.grounding.statement import Lexicon, Statement, read
from guard.checks.grounding.words import is_other_language, stems
from guard.core.claims import asks_for_invention
from guard.core.types import Channel, Evidence, Segment

MOST_EVIDENCE = 400_000
"""Characters (some 100,000 tokens) that are indexed at most: about 0.2 s, in which nothing streams."""
_SAMPLE = 4000
"""Characters of each passage that its language is told by."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A statement and its features."""

    said: Statement
    values: list[float]

    @property
    def content(self) -> frozenset[str]:
        """Its content stems."""
        return frozenset(self.said.weights)


class Grounds:
    """What statements of one request are held against.

    `why` says in a few words why nothing can be, or is "". `by_tools`: whether what tools return alone is enough.
    """

    def __init__(self, evidence: Evidence, lexicon: Lexicon, *, by_tools: bool = True) -> None:
        self.why = _why_not(evidence, by_tools)
        self.evidence = evidence
        self.index = Index(() if self.why else evidence.passages)
        self._question = frozenset(stems(question_of(evidence)))
        self._lexicon = lexicon
        self._readings: dict[int, Reading] = {}
        self._past: dict[Channel, tuple[list[int], Past]] = {}

    def read(self, segment: Segment, kept: Iterable[Segment]) -> Reading:
        """The features of a segment behind those that still stand."""
        before = [one for one in kept if one.channel == segment.channel and one.id < segment.id]
        reading = self._read(segment, self._past_of(segment.channel, before))
        self._readings[segment.id] = reading
        return reading

    def _read(self, segment: Segment, past: Past) -> Reading:
        said = read(segment.text, self.index, self._lexicon)
        return Reading(said, features(said, self.index, self._lexicon, past, self._question))

    def _past_of(self, channel: Channel, before: Sequence[Segment]) -> Past:
        known, past = self._past.get(channel, ([], Past()))
        if [one.id for one in before[: len(known)]] != known:
            known, past = [], Past()
        for one in before[len(known) :]:
            reading = self._readings.get(one.id) or self._read(one, past)
            past.add(reading.values, reading.content)
            known.append(one.id)
        self._past[channel] = (known, past)
        return past


def _why_not(evidence: Evidence, by_tools: bool) -> str:
    if not evidence.passages and evidence.unreadable:
        return f"only {', '.join(sorted(set(evidence.unreadable)))}"
    if not is_enough(evidence):
        return "little or no evidence"
    if evidence_length(evidence) > MOST_EVIDENCE:
        return "too much evidence"
    if not gives_material(evidence, by_tools=by_tools):
        return "no material to answer from"
    if asks_for_invention(evidence):
        return "the request asks for invention"
    material = [passage.text[:_SAMPLE] for passage in evidence.passages if len(passage.text) >= LEAST_EVIDENCE]
    return "evidence in another language" if material and all(map(is_other_language, material)) else ""
