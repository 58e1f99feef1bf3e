"""Drives one recorded choice through another policy's session, up to the first decision that differs.

Rules:

1. Text, attempts, holds and the store's answers come as they were recorded, in their order. A hold that ran out runs
   out again where the new policy holds too; none runs out that did not.
2. What a check answered counts again where it is `same`. Any other is run now, and answers before the next event.
3. A decision is the same if claim, manner and words are: then the model was shown the same, and the recording goes on.
   Behind one that differs nothing is known.
4. A verdict that cannot be had here decides nothing: where the policy stops for it, the choice is `undecided`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from guard.checks import Skippable
from guard.core import events as ev
from guard.core.session import Session
from guard.core.types import Evidence, Interruption, Segment
from guard.evaluation.driving import Drive
from guard.evaluation.replaying_change import Change, Kind, compared, told, where, words
from guard.evaluation.replaying_recorded import Answer, Recorded
from guard.registry import LoadedPolicy

LOST = "not recorded"
"""Why a verdict is missing whose check was asked and had not answered when the recording ended."""


class _Differs(Exception):
    """The first decision that differs."""

    def __init__(self, change: Change) -> None:
        super().__init__(change.kind)
        self.change = change


class Replay(Drive):
    """One choice on its way.

    Args:
        same: whether what a check of this name answered in the recording counts again.

    Attributes:
        live: by check, how often it was run.
        missing: by check and reason, verdicts that could not be had.
        gained, lost: by check, statements that are flagged now and were not, and the other way round; only of a
            choice that was replayed to its end.
    """

    def __init__(
        self, session: Session, loaded: LoadedPolicy, given: Evidence, recorded: Recorded, same: Callable[[str], bool]
    ) -> None:
        super().__init__(session, loaded, given, beside=True)
        self._policy = loaded.policy
        self._uses = {use.check: use for use in loaded.policy.checks}
        self._inline = frozenset(name for name, check in loaded.checks.items() if check.inline)
        self._recorded = recorded
        self._same = same
        self._at = -1
        self._made = 0
        self._segments: dict[int, Segment] = {}
        self._waited: dict[tuple[int, str], int] = {}
        self._unanswered: list[ev.RunCheck] = []
        self._holds: dict[int, int] = {}
        self._finish: ev.Finish | None = None
        self.live: Counter[str] = Counter()
        self.missing: Counter[tuple[str, str]] = Counter()
        self.gained: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    async def changes(self) -> list[Change]:
        """What differs: nothing, one decision, or some of those that leave the text as it is."""
        try:
            for at, event in enumerate(self._recorded.events):
                if self._finish is not None:
                    break
                self._at = at
                if isinstance(event, ev.Checked | ev.Unchecked):
                    segment = self._waited.pop((event.segment, event.check), None)
                    if segment is None:
                        continue  # as with most: it counted where it was asked for
                    event = _about(event, segment)
                await self._event(event)
            await self._drain()
        except _Differs as differs:
            return [differs.change]
        return self._compared()

    async def _event(self, event: ev.Event) -> None:
        if isinstance(event, ev.HoldExpired):
            if event.segment in self._holds:
                await self._feed(ev.HoldExpired(self._holds.pop(event.segment)))
            return
        if isinstance(event, ev.Recorded):
            await self._reached(int(event.id.rpartition(".")[2]))
        await self._feed(event)

    async def _reached(self, number: int) -> None:
        """The recording has interrupted: what was asked and not waited for then may still do so now."""
        if self._made < number:
            await self._ask_unanswered()
        if self._made < number:
            self._less(self._recorded.interruptions[number])

    async def _feed(self, event: ev.Event) -> None:
        """An event, and every answer that it calls for now: inline ones first."""
        queue = deque((event,))
        while queue:
            commands = self._session.receive(queue.popleft())
            inline: list[ev.Event] = []
            for command in commands:
                if isinstance(command, ev.RunCheck):
                    answer = self._answer(command) or await self._asked(command)
                    if answer is not None:
                        (inline if command.check in self._inline else queue).append(answer)
                elif not isinstance(command, ev.Emit):
                    queue.extend(self._obey(command))
            queue.extendleft(reversed(inline))

    def _obey(self, command: ev.Command) -> Iterator[ev.Event]:
        """Carry out what is neither text nor a check; the events that it leads to."""
        match command:
            case ev.StartHold(id_):
                self._hold(id_)
            case ev.Record(interruption):
                self._decided(interruption)
            case ev.DropChecks(gone):
                self._unanswered = [command for command in self._unanswered if command.segment.id not in gone]
            case ev.OpenAttempt(attempt) if attempt == self._recorded.starved:
                yield ev.Finished(attempt, "length")
            case ev.Finish():
                self._finish = command

    def _hold(self, segment: int) -> None:
        number = self._number(segment)
        if number is not None:
            self._holds[number] = segment

    def _number(self, segment: int) -> int | None:
        """The recorded number of a segment of the new session; one that no check looks at keeps its own."""
        return self._recorded.number(self._segments[segment]) if segment in self._segments else segment

    def _answer(self, command: ev.RunCheck) -> ev.Event | None:
        """The recorded answer, if there is one and its time has come."""
        segment, check = command.segment, command.check
        self._segments[segment.id] = segment
        found = self._recorded.answer(segment, check)
        if found is None or not self._same(check):
            return None
        at, answer = found
        return _about(answer, segment.id) if check in self._inline or at <= self._at else None

    async def _asked(self, command: ev.RunCheck) -> ev.Event | None:
        """What a check says now; None where its answer is still to come, or was not waited for."""
        segment, check = command.segment, command.check
        if self._same(check) and check not in self._inline:
            if (found := self._recorded.answer(segment, check)) is not None:
                self._waited[found[1].segment, check] = segment.id
                return None
            if self._recorded.asked(segment, check, self._uses[check].only_if):
                self._unanswered.append(command)
                return None
        return await self._run(command)

    async def _run(self, command: ev.RunCheck) -> ev.Event:
        check = self._checks[command.check]
        lacks = check.skipped if isinstance(check, Skippable) else ""
        if lacks:
            return self._none(command, lacks)
        self.live[command.check] += 1
        answer = await self._examined(command)
        if isinstance(answer, ev.Unchecked):
            self.missing[command.check, answer.why] += 1
        return answer

    def _none(self, command: ev.RunCheck, why: str) -> ev.Event:
        """A verdict that live traffic would have and this place has not."""
        self.missing[command.check, why] += 1
        if self._policy.on_unscanned == "stop" and self._policy.mode == "supervise":
            claim = command.segment.text
            number = self._recorded.number(command.segment)
            raise _Differs(self._change("undecided", number, command.check, claim, now=why))
        return ev.Unchecked(command.segment.id, command.check, "unscanned", why)

    async def _ask_unanswered(self) -> None:
        while self._unanswered:
            command = self._unanswered.pop(0)
            await self._feed(await self._run(command) if self._runs(command.check) else self._none(command, LOST))

    def _runs(self, check: str) -> bool:
        part = self._checks[check]
        return not (isinstance(part, Skippable) and part.skipped)

    async def _drain(self) -> None:
        """The recording is over; the new session may wait for verdicts that the old one did not."""
        while self._finish is None and self._unanswered:
            await self._ask_unanswered()

    # Decisions

    def _decided(self, now: Interruption) -> None:
        """The new session interrupts: as the recording does next, or differently."""
        self._made += 1
        was = self._recorded.interruptions.get(self._made)
        place = self._number(now.verdicts[0].segment)
        if was is not None and was.claim.text == now.claim.text and where(was) == where(now):
            self._same_claim(was, now, place)
            return
        if was is not None and place is not None and was.verdicts[0].segment < place:
            self._less(was)
        change = self._change("more", place, now.check, now.claim.text, now=words(now))
        raise _Differs(replace(change, behind=len(self._recorded.interruptions) - self._made + 1))

    def _same_claim(self, was: Interruption, now: Interruption, place: int | None) -> None:
        if told(was) != told(now):
            change = self._change("reworded", place, now.check, now.claim.text, words(was), words(now))
            behind = len(self._recorded.interruptions) - was.number
            raise _Differs(replace(change, interruption=was.id, behind=behind))
        if was.discarded != now.discarded:  # cut at another moment, so other segments had been counted
            self._recorded.unalign()

    def _less(self, was: Interruption) -> None:
        change = self._change("less", was.verdicts[0].segment, was.check, was.claim.text, words(was))
        behind = len(self._recorded.interruptions) - was.number
        raise _Differs(replace(change, interruption=was.id, behind=behind))

    def _change(self, kind: Kind, segment: int | None, check: str, claim: str, was: str = "", now: str = "") -> Change:
        choice = self._recorded.summary.choice
        return Change(kind=kind, choice=choice, segment=segment, check=check, claim=claim, was=was, now=now)

    def _compared(self) -> list[Change]:
        now = None if self._finish is None else self._finish.summary
        numbers = {} if now is None else {segment.id: self._recorded.number(segment) for segment in now.segments}
        if now is not None:
            flagged = {(numbers.get(v.segment), v.check) for v in now.verdicts if v.status == "flagged"}
            self.gained.update(check for _, check in flagged - self._recorded.flagged)
            self.lost.update(check for _, check in self._recorded.flagged - flagged)
        return list(compared(self._recorded, now, numbers))


def _about(answer: Answer, segment: int) -> Answer:
    return answer if answer.segment == segment else replace(answer, segment=segment)
