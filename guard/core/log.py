"""What one choice leaves behind: segments, verdicts, interruptions and how each of them ended.

Writes nothing: it is the session's memory, read when the choice finishes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from guard.core.docket import Entry
from guard.core.transcript import Transcript
from guard.core.turn import TEXTS, Text, Turn
from guard.core.types import (
    Closing,
    Continuation,
    Interruption,
    Outcome,
    Segment,
    Spelled,
    Summary,
    Verdict,
    normalise,
)

_BAD = ("flagged", "unscanned")
"""What a segment's verdicts may not say if its text is to be learnt."""


@dataclass(slots=True)
class _Open:
    """An interruption that has not ended: `verdicts` had been given when it was made, the model goes on at `at`, and
    the turn's texts were `reached` long."""

    interruption: Interruption
    segment: Segment
    verdicts: int
    channel: Text
    at: int
    reached: Mapping[Text, int]
    next_attempt: int
    continuation: Continuation | None = None
    void: bool = False

    @property
    def called(self) -> bool:
        """Whether tool calls were answered here: the model's context has them, and no text."""
        return self.interruption.claim.channel == "tool_calls" and not self.void


@dataclass(frozen=True, slots=True)
class _Followed:
    text: str
    clean: bool
    tokens: Spelled = ()


class Log:
    """The record of one choice. `alternatives`: how many to keep with each token that followed a correction; at 0 no
    token is kept."""

    def __init__(self, choice: int, alternatives: int = 0) -> None:
        self._choice = choice
        self._alternatives = alternatives
        self._segments: dict[int, Segment] = {}
        self._verdicts: list[tuple[Segment, Verdict]] = []
        self._open: list[_Open] = []
        self.discarded_tokens = 0

    def segment(self, segment: Segment) -> None:
        """A segment was closed."""
        self._segments[segment.id] = segment

    def discarded(self, claim: Segment) -> None:
        """Everything behind a claim is gone, and what was interrupted there is void; the claim stays on record."""
        self._segments = {id_: segment for id_, segment in self._segments.items() if id_ <= claim.id}
        for opened in self._open:
            opened.void = opened.void or opened.segment.id > claim.id

    def verdict(self, entry: Entry, verdict: Verdict) -> None:
        """A verdict was given; a later one of the same check on the same segment replaces it."""
        entry.verdicts[verdict.check] = verdict
        self._verdicts.append((entry.segment, verdict))

    def interrupted(self, interruption: Interruption, segment: Segment, channel: Text, at: int, turn: Turn) -> None:
        """A claim was interrupted; the model is to go on at character `at` of `channel`."""
        reached = {name: len(turn.transcripts[name]) for name in TEXTS}
        given = len(self._verdicts) + 1
        self._open.append(_Open(interruption, segment, given, channel, at, reached, interruption.attempt + 1))

    def continued(self, attempt: int, continuation: Continuation | None) -> None:
        """How the attempt after an interruption continues."""
        for opened in self._open:
            if opened.next_attempt == attempt:
                opened.continuation = continuation

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The last verdict of each check on each segment that is on record, in order of their first."""
        latest = {(v.segment, v.check): v for segment, v in self._verdicts if segment.id in self._segments}
        return tuple(latest.values())

    @property
    def interruptions(self) -> int:
        """How many there were."""
        return len(self._open)

    def closings(self, turn: Turn, ended: bool, complete: bool) -> tuple[Closing, ...]:
        """How every interruption ended. `ended`: the turn came to its own end, so what followed is whole;
        `complete`: that end is the text's (no tool call stands behind it)."""
        return tuple(self._closing(opened, turn, ended, complete) for opened in self._open)

    def _closing(self, opened: _Open, turn: Turn, ended: bool, complete: bool) -> Closing:
        closing = Closing(
            id=opened.interruption.id,
            outcome=self._outcome(opened, ended),
            continuation=opened.continuation,
            followed="",
            uncorrected=self._uncorrected(opened, turn),
            behind_calls=any(o.called and o.segment.id < opened.segment.id for o in self._open),
        )
        if opened.void:
            return closing
        first = self._following(opened, turn, opened.channel, opened.at, ended)
        closing = replace(closing, followed=first.text, followed_tokens=first.tokens, complete=complete and first.clean)
        if opened.channel == "reasoning" and first.clean:
            answer = self._following(opened, turn, "content", opened.reached["content"], ended)
            closing = replace(
                closing, answer=answer.text, answer_tokens=answer.tokens, complete=complete and answer.clean
            )
        return closing

    def _outcome(self, opened: _Open, ended: bool) -> Outcome:
        if opened.void or not ended:
            return "abandoned"
        claim = normalise(opened.interruption.claim.text)
        subjects = {f.subject for v in opened.interruption.verdicts for f in v.findings if f.subject}
        for segment, verdict in self._verdicts[opened.verdicts :]:
            again = subjects & {finding.subject for finding in verdict.findings}
            if (
                segment.id > opened.segment.id
                and verdict.status == "flagged"
                and (again or normalise(segment.text) == claim)
            ):
                return "relapsed"
        return "corrected"

    def _uncorrected(self, opened: _Open, turn: Turn) -> int:
        corrected = {other.segment.id for other in self._open}
        bad = {v.segment for v in self.verdicts if v.status in _BAD} - corrected
        return sum(id_ < opened.segment.id and turn.docket.get(id_) is not None for id_ in bad)

    def _following(self, opened: _Open, turn: Turn, channel: Text, at: int, ended: bool) -> _Followed:
        """The model's text of a channel from `at` to the next flagged or unscanned segment, put-in text, tool calls
        that guard answered, or one that says again what was flagged; of a turn that broke off, only what was judged."""
        transcript = turn.transcripts[channel]
        flagged = {v.segment for v in self.verdicts if v.status in _BAD}
        bad = {id_ for id_ in flagged if turn.docket.get(id_) is not None}  # what was cut out is in no text
        bad |= {entry.segment.id for entry in turn.docket.waiting}
        claims = {normalise(segment.text) for segment, v in self._verdicts if v.status == "flagged"}
        behind = [s for s in self._segments.values() if s.channel == channel and s.start >= at]
        stops = [s.start for s in behind if s.id in bad or normalise(s.text) in claims]
        stops += [span.start for span in transcript.spans if span.origin == "guard" and span.start >= at]
        stops += [o.reached[channel] for o in self._open if o.called and o.segment.id > opened.segment.id]
        end = min([*stops, len(transcript) if ended else turn.segmented(channel)])
        if end <= at:
            return _Followed("", not stops)
        return _Followed(transcript.text(at, end), not stops, self._spelled(transcript, at, end))

    def _spelled(self, transcript: Transcript, start: int, end: int) -> Spelled:
        most = self._alternatives
        if not most:
            return ()
        return tuple(
            (at, replace(token, top=token.top[:most], top_texts=token.top_texts[:most]))
            for at, token in transcript.within(start, end)
        )

    def summary(
        self, turn: Turn, finish_reason: str | None, *, left: bool = False, error: str | None = None
    ) -> Summary:
        """The choice in one value."""
        verdicts = self.verdicts
        return Summary(
            choice=self._choice,
            finish_reason=finish_reason,
            segments=tuple(self._segments.values()),
            verdicts=verdicts,
            text={channel: turn.transcripts[channel].text() for channel in TEXTS},
            interruptions=len(self._open),
            discarded_tokens=self.discarded_tokens,
            unscanned=sum(v.status == "unscanned" for v in verdicts),
            client_left=left,
            error=error,
        )
