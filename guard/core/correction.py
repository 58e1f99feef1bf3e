"""What an interrupting verdict leads to: a correction, a limit, or a note that it came too late.

Decides and edits the turn; the session carries the consequences (attempts, the record, the end). It does not know
events or when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from guard.core.budget import Budget
from guard.core.docket import Entry
from guard.core.policy import Policy, interruption_text, retraction_text, word
from guard.core.resume import joined, lead
from guard.core.turn import TEXTS, Cut, Text, Turn
from guard.core.types import (
    Channel,
    Claim,
    Correct,
    Disposition,
    Finding,
    GuardEvent,
    Interruption,
    Resume,
    Token,
    ToolCall,
    Verdict,
)

NOT_RUN = "Not run."
"""What guard answers in the place of a tool that was not called."""


@dataclass(frozen=True, slots=True)
class Action:
    """What was done about a verdict.

    Attributes:
        interruption, resume: set if the turn was cut: how it is recorded, and how it goes on.
        channel, at: where the model goes on.
        dropped: ids of the segments that are gone.
        stop: the choice ends here, with this finish reason.
    """

    disposition: Disposition
    interruption: Interruption | None = None
    resume: Resume | None = None
    channel: Text = "content"
    at: int = 0
    cut: Cut | None = None
    stop: str = ""


class Corrector:
    """Applies a policy to one turn.

    Args:
        name: prefix of its interruptions' ids.
        structured: content must never be injected into.
        count: tokens of a text.
        max_tokens: limit on model and guard text together.
    """

    def __init__(
        self,
        *,
        name: str,
        choice: int,
        policy: Policy,
        turn: Turn,
        structured: bool,
        max_tokens: int | None,
        count: Callable[[str], int],
    ) -> None:
        self.name = name
        self._choice = choice
        self._policy = policy
        self._turn = turn
        self._structured = structured
        self._max_tokens = max_tokens
        self._count = count
        self._calls: list[tuple[int, ToolCall, str]] = []
        self._calls_at = 0
        self.budget = Budget(policy.interrupt)

    def act(
        self,
        entry: Entry,
        verdict: Verdict,
        attempt: int,
        unjoined: Mapping[Text, str],
        finding: Finding | None = None,
    ) -> Action:
        """Do what the policy says about a verdict that is to interrupt. `finding` words the correction (None: the
        surest); `unjoined` is text of the model that is not in the turn yet: a cut discards it too."""
        finding = finding or max(verdict.findings, key=lambda f: f.score)
        if self._policy.mode == "observe":
            return Action("observed")
        entry.settled = True
        if self._too_late(entry):
            self._turn.note(entry, "", self._event("late", entry, verdict.check, finding))
            return Action("late")
        sent = entry.start < self._turn.tape.sent
        correct = self._manner(entry, sent)
        why = self.budget.refusal(verdict.check, entry.segment.text, entry.segment.id)
        if correct == "restart" and self.budget.times(entry.segment.text, entry.segment.id):
            why = why or "repeated"
        if why:
            return self._limit(entry, verdict.check, finding, why)
        verdict = replace(verdict, disposition="interrupted")
        return self._correct(entry, verdict, finding, correct, attempt, unjoined)

    def _too_late(self, entry: Entry) -> bool:
        """Correcting late does harm, and what cannot be injected into cannot be corrected once it is out."""
        sent = entry.start < self._turn.tape.sent
        if sent and (entry.segment.channel == "tool_calls" or self._restarts(entry)):
            return True
        lateness = self._turn.lateness(entry)
        return lateness is None or lateness > self._policy.interrupt.max_late_segments

    def _restarts(self, entry: Entry) -> bool:
        return self._structured and entry.segment.channel == "content"

    def _manner(self, entry: Entry, sent: bool) -> Correct:
        if self._restarts(entry):
            return "restart"
        if entry.segment.channel == "tool_calls":
            return "retract"
        wanted = self._turn.watch[entry.segment.channel].correct
        return "interrupt" if sent or self.budget.times(entry.segment.text, entry.segment.id) else wanted

    # Limits

    def _limit(self, entry: Entry, check: str, finding: Finding, why: str) -> Action:
        action = self._policy.interrupt.at_limit
        event = self._event("limit", entry, check, finding, why)
        if action == "stop":
            return Action("limited", cut=self.stop(entry, event), stop="content_filter")
        message = interruption_text(self._policy, finding, entry.segment.text)
        if action == "caveat" and entry.segment.channel == "tool_calls":
            before = self._turn.transcripts["content"].text()
            cut = self._turn.cut(entry, keep=False)
            self._turn.put("content", joined(before, message), _unsent(event), 0)
            return Action("limited", cut=cut, stop="stop")
        told = action == "caveat" and not self._restarts(entry)
        self._turn.note(entry, joined(entry.segment.text, message) if told else "", event)
        return Action("limited")

    def stop(self, entry: Entry, event: GuardEvent) -> Cut:
        """End the turn at a segment: in front of it if it was not sent, behind it if it was."""
        entry.settled = True
        sent = entry.start < self._turn.tape.sent
        cut = self._turn.cut(entry, keep=sent)
        self._turn.put(self._turn.channel or "content", "", event if sent else _unsent(event), 0)
        return cut

    # Corrections

    def _correct(
        self,
        entry: Entry,
        verdict: Verdict,
        finding: Finding,
        correct: Correct,
        attempt: int,
        unjoined: Mapping[Text, str],
    ) -> Action:
        segment = entry.segment
        calls = self._made(entry)
        late = self._turn.tape.sent > entry.end
        tokens = () if segment.channel == "tool_calls" else self._tokens(entry)
        cut = self._turn.cut(entry, keep=correct == "interrupt")
        text = segment.text[cut.start - segment.start :]
        kept = self._texts()
        if correct == "interrupt" and segment.channel != "tool_calls":
            kept[segment.channel] = kept[segment.channel][: cut.start]
        put_in = self._put_in(entry, verdict, finding, correct, text)
        discarded: dict[Channel, str] = dict(cut.discarded)
        for channel, held in unjoined.items():
            discarded[channel] = discarded.get(channel, "") + held
        wasted = sum(self._count(part) for part in discarded.values())
        wasted += 0 if correct == "interrupt" else self._count(text)
        self.budget.spend(verdict.check, segment.text, sum(self._count(s.text) for s in cut.segments), segment.id)
        interruption = Interruption(
            id=f"{self.name}.{self.budget.interruptions}",
            choice=self._choice,
            number=self.budget.interruptions,
            attempt=attempt,
            correct=correct,
            late=late,
            claim=Claim(
                channel=segment.channel,
                start=cut.start,
                end=segment.end,
                text=text,
                tokens=tokens,
                tool=segment.tool,
            ),
            kept={channel: text for channel, text in kept.items() if text},
            discarded=discarded,
            put_in=put_in,
            reason=finding.reason,
            correction=finding.correction,
            check=verdict.check,
            verdicts=(verdict, *(v for v in entry.verdicts.values() if v.check != verdict.check)),
            delay=cut.delay,
            tokens_wasted=wasted,
        )
        return self._go_on(entry, finding, interruption, cut, calls)

    def _go_on(
        self,
        entry: Entry,
        finding: Finding,
        interruption: Interruption,
        cut: Cut,
        calls: list[tuple[ToolCall, bool]],
    ) -> Action:
        channel: Text = "content" if entry.segment.channel == "tool_calls" else entry.segment.channel
        if entry.segment.channel == "tool_calls":
            self._answer(calls, entry, finding, interruption)
        event = self._told(entry, finding, interruption, cut)
        self._turn.put(channel, interruption.put_in, event, interruption.attempt + 1)
        kept = self._texts()
        resume = Resume(
            kept={name: text for name, text in kept.items() if text},
            open_channel=channel,
            put_in=interruption.put_in,
            retracted="" if interruption.correct == "interrupt" else interruption.claim.text,
            sent={name: text for name in TEXTS if (text := self._turn.tape.text(name))},
            message=word(self._policy.reask.message, finding, interruption.claim.text),
            restart=interruption.correct == "restart",
            calls=tuple((call, answer) for _, call, answer in self._calls),
            calls_at=self._calls_at if self._calls else 0,
            max_tokens=self._left(),
        )
        return Action("interrupted", interruption, resume, channel, len(kept[channel]), cut)

    def _put_in(self, entry: Entry, verdict: Verdict, finding: Finding, correct: Correct, claim: str) -> str:
        if correct == "restart" or entry.segment.channel == "tool_calls":
            return ""
        if correct == "interrupt":
            return joined(claim, interruption_text(self._policy, finding, claim))
        before = lead(claim)
        offset = len(entry.segment.text) - len(claim) + len(before)
        flag_at = self._policy.use(verdict.check).flag_at
        flagged = () if flag_at is None else tuple(f for f in verdict.findings if f.score >= flag_at)
        wrong = flagged or (finding,)  # below its own threshold, and interrupted with what other checks say
        return before + retraction_text(self._policy, wrong, claim[len(before) :], offset)

    def _made(self, entry: Entry) -> list[tuple[ToolCall, bool]]:
        """The turn's tool calls, and whether each is this entry; calls answered behind it are gone with it."""
        self._calls = [made for made in self._calls if made[0] < entry.segment.id]
        before = [e for e in self._turn.docket if e.segment.channel == "tool_calls" and e.segment.id < entry.segment.id]
        return [(call, at == len(before)) for at, call in enumerate(self._turn.calls)]

    def _answer(
        self, calls: list[tuple[ToolCall, bool]], entry: Entry, finding: Finding, interruption: Interruption
    ) -> None:
        """Every call of the turn is answered, the flagged one with the reason; earlier answers stand."""
        message = interruption_text(self._policy, finding, interruption.claim.text)
        taken = {call.id for _, call, _ in self._calls}
        self._calls_at = len(self._turn.transcripts["content"])
        for call, flagged in calls:
            if call.id in taken:  # another attempt's: an answer must find its own call
                call = replace(call, id=f"{call.id}_{entry.segment.id}")
            self._calls.append((entry.segment.id, call, f"{NOT_RUN} {message}" if flagged else NOT_RUN))

    def _texts(self) -> dict[Channel, str]:
        return {channel: self._turn.transcripts[channel].text() for channel in TEXTS}

    def _tokens(self, entry: Entry) -> tuple[Token, ...]:
        segment = entry.segment
        assert segment.channel != "tool_calls"
        return self._turn.transcripts[segment.channel].tokens(segment.start, segment.end)

    def _left(self) -> int | None:
        if self._max_tokens is None:
            return None
        used = sum(self._count(self._turn.transcripts[channel].by("model", "guard")) for channel in TEXTS)
        return max(0, self._max_tokens - used)

    # What the client is told

    def _told(self, entry: Entry, finding: Finding, interruption: Interruption, cut: Cut) -> GuardEvent:
        claim = interruption.claim
        start, end = self._turn.shown(claim.channel, claim.start, claim.end)
        visible = interruption.correct == "interrupt"
        return GuardEvent(
            event="interruption" if visible else "retraction",
            id=interruption.id,
            channel=entry.segment.channel,
            span=(start, end if visible else start),
            discarded=(end, end + cut.seen) if visible and cut.seen else None,
            check=interruption.check,
            reason=finding.reason,
            correction=finding.correction,
            retracted=claim.text if self._policy.record.reveal and not visible else None,
        )

    def _event(
        self, kind: Literal["late", "limit"], entry: Entry, check: str, finding: Finding, why: str = ""
    ) -> GuardEvent:
        return GuardEvent(
            event=kind,
            id=f"{self.name}.s{entry.segment.id}",
            channel=entry.segment.channel,
            span=self._turn.shown(entry.segment.channel, entry.segment.start, entry.segment.end),
            check=check,
            reason=finding.reason,
            correction=finding.correction,
            why=why,
        )


def _unsent(event: GuardEvent) -> GuardEvent:
    """The event of a claim that the client never gets: its span is empty and marks the place."""
    return replace(event, span=(event.span[0], event.span[0]))
