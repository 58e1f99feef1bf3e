"""The state machine of one choice: `receive(event) -> [command]`. Nothing in it waits.

It knows the policy, the turn so far and what has been sent. It does not know clocks, backends, HTTP or how a check
works. Its rules, each with a mutant that a test kills (`make mutants`):

1. What a client has been sent cannot be taken back. In a `checked` channel nothing is released before it, all that
   stands before it and every earlier channel is judged; in an `immediate` one a delta goes out once the inline
   checks of the segments it closes have run, split at the segment's end.
2. Nothing stale acts. An upstream event of an earlier attempt changes nothing; a verdict is stale only if its
   segment was discarded. Text that guard put in is never checked.
3. Exactly one `Finish`, in whatever order things happen. It waits for the last verdict and is void if its text is
   discarded.
4. Cutting never matters: same text, same segments, same verdicts, same interruptions.
5. Logged, then resumed: no attempt opens before `Recorded` of the interruption that it continues.
6. Budgets hold. The same claim again is interrupted visibly once, then limited.
7. An interruption is a value and a transition, never an exception.
8. Weighed together, never waited for: a fusion decides when no check that it weighs is out, with those that answered.
   A hold that runs out is an answer; nothing is withheld for the fusion's sake.
9. A premise is corrected when it is used: a finding between `used_at` and `interrupt_at` acts once a later standing
   segment builds on it. One of a later channel counts only where that channel is held, so that rule 4 holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from guard.core import events as ev
from guard.core.config import CheckSpec, Config, watched
from guard.core.correction import Action, Corrector
from guard.core.docket import Entry
from guard.core.events import Command
from guard.core.log import Log
from guard.core.premise import Tokens, builds_on, premise, tokens
from guard.core.resume import Join, Seam
from guard.core.spelling import spelled
from guard.core.tape import split_logprobs
from guard.core.turn import Cut, Text, Turn
from guard.core.types import Channel, Finding, GuardEvent, Resume, Segment, Spelled, Status, Verdict


@dataclass(frozen=True, slots=True)
class _Ending:
    """Why the choice is about to finish; void if a cut discards the text it belongs to. `ended`: the turn came to an
    end of its own, not of guard's; `whole`: at a place where the model would end it."""

    reason: str
    raw: object = None
    error: str | None = None
    status: int = 200
    ended: bool = False
    whole: bool = False


class Session:
    """One choice of one response.

    `receive` takes the events in the order they happen and returns what is to be done, in order. An inline
    `RunCheck` must be answered before the next event of any other kind; everything else may come whenever it comes.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._policy = config.policy
        self._uses = {use.check: use for use in config.policy.checks}
        self._gated = any(use.used_at is not None for use in config.policy.checks)
        self._specs = [spec for spec in config.checks if spec.name in self._uses]
        self._versions = {spec.name: spec.version for spec in self._specs}
        self._begin(config.prefix)
        self._log = Log(config.choice, config.policy.record.top_logprobs)
        self._attempt = 0
        self._awaiting: tuple[str, Resume] | None = None
        self._ending: _Ending | None = None
        self._examined: Entry | None = None
        self._seam: Seam | None = None
        self._seam_of: Text = "content"
        self._held: list[ev.Delta] = []
        self._muted = self._anew = self._prefilled = False
        self._out: list[Command] = []
        self.done = False
        self._handlers: dict[type, Callable[..., None]] = {
            ev.Opened: self._opened,
            ev.Delta: self._delta,
            ev.ToolDelta: self._tool_delta,
            ev.Extra: self._extra,
            ev.Finished: self._finished,
            ev.Failed: self._failed,
            ev.Checked: self._checked,
            ev.Unchecked: self._unchecked,
            ev.HoldExpired: self._hold_expired,
            ev.Recorded: self._recorded,
            ev.ClientLeft: self._client_left,
        }

    def _begin(self, prefix: Mapping[Channel, str]) -> None:
        """A turn that goes on from the client's `prefix`."""
        config = self._config
        self._turn = Turn(watched(config), prefix)
        self._corrector = Corrector(
            name=f"{config.session}.{config.choice}",
            choice=config.choice,
            policy=config.policy,
            turn=self._turn,
            structured=config.structured,
            max_tokens=config.max_tokens,
            count=config.count,
        )

    @property
    def attempt(self) -> int:
        """The attempt whose events count."""
        return self._attempt

    @property
    def kept(self) -> tuple[Segment, ...]:
        """The segments that stand and were not interrupted, oldest first: what a check may build on."""
        return tuple(entry.segment for entry in self._turn.docket if not entry.settled)

    def before(self, segment: Segment) -> dict[Channel, str]:
        """The turn up to a segment's start, by channel in order, text of the client and of guard included."""
        texts: dict[Channel, str] = {}
        for channel, transcript in self._turn.transcripts.items():
            texts[channel] = transcript.text(0, segment.start if channel == segment.channel else None)
            if channel == segment.channel:
                break
        return texts

    def tokens(self, segment: Segment) -> Spelled:
        """How the policy model spelled a segment that stands (`spelling`); () for a tool call."""
        if segment.channel == "tool_calls":
            return ()
        return spelled(self._turn.transcripts[segment.channel], segment)

    def receive(self, event: ev.Event) -> list[Command]:
        """Take one event; return the commands it leads to, in order. After the `Finish` nothing does anything."""
        if self.done:
            return []
        self._out = []
        self._handlers[type(event)](event)
        if type(event) is not ev.Delta:  # text alone judges nothing
            self._turn.docket.touch()
        if not self.done:
            self._advance()
        return self._out

    # The upstream

    def _current(self, attempt: int) -> bool:
        return attempt == self._attempt and self._ending is None and self._awaiting is None

    def _opened(self, event: ev.Opened) -> None:
        if not self._current(event.attempt) or not event.attempt:
            if event.echoes and not event.attempt and self._turn.channel is None:
                self._begin({})
            return
        self._log.continued(event.attempt, event.continuation)
        self._seam_of = self._turn.channel or "content"
        self._prefilled = event.continuation == "field_prefill"
        self._anew = event.continuation == "reask"
        # A new turn of the model's after content thinks anew; to the client that would be reasoning behind an answer.
        self._muted = (self._anew or self._prefilled) and self._seam_of == "content"
        asked = {"reask": "content", "field_prefill": self._seam_of}.get(event.continuation or "")
        seam = Seam(
            delivered=self._turn.tape.text(asked) if asked else "",
            written=self._turn.transcripts[self._seam_of].by("model"),
            stops=self._config.stops,
            prefilled=self._prefilled,
        )
        self._seam = seam if seam.needed else None

    def _delta(self, event: ev.Delta) -> None:
        changed = bool(self._held) and event.channel != self._seam_of
        if not event.text or not self._goes_on(event.attempt, whole=changed):
            return
        if self._muted and event.channel == "reasoning":
            return
        if self._seam is not None and event.channel == self._seam_of:
            self._held.append(event)
            if (join := self._seam.feed(event.text)) is not None:
                self._join(join)
        elif self._anew and event.channel == self._seam_of:
            self._let_through(self._spaced([event], 0), 0)
        else:
            self._turn.text(event, event.raw if event.attempt == 0 else None)

    def _join(self, join: Join) -> None:
        """Let the held opening of an attempt through, now that it is clear how it joins what stands before it."""
        held, self._held, self._seam = self._held, [], None
        if self._prefilled and (join.skip or join.astray):  # it was no continuation after all
            self._log.continued(self._attempt, "reask")
        if join.astray:
            self._astray(held)
        elif join.stopped:
            self._cancel()
            self._end(_Ending("stop", ended=True))
        else:
            self._let_through(self._spaced(held, join.skip), join.skip)

    def _spaced(self, held: list[ev.Delta], skip: int) -> list[ev.Delta]:
        """What was asked for again is a new text: it may lack the space that a continuation begins with."""
        before = self._turn.transcripts[self._seam_of].text()
        first = held[0].text[:1] if held else ""
        anew, self._anew = self._anew, False
        if skip or not anew or not before or before[-1].isspace() or not first.isalnum():
            return held
        return [replace(held[0], text=" " + held[0].text, tokens=()), *held[1:]]

    def _let_through(self, held: Sequence[ev.Delta], skip: int) -> None:
        for delta in held:
            gone, skip = min(skip, len(delta.text)), max(0, skip - len(delta.text))
            if gone < len(delta.text):
                if gone:
                    rest = split_logprobs(delta.logprobs, gone)[1]
                    delta = replace(delta, text=delta.text[gone:], tokens=(), logprobs=rest)
                self._turn.text(delta, None)

    def _astray(self, held: Sequence[ev.Delta]) -> None:
        """A re-asked answer started over and cannot be joined: the policy's `at_limit` decides what is left."""
        action = self._policy.interrupt.at_limit
        self._turn.announce(self._plain_event("limit", "restarted"))
        if action == "release":
            self._let_through(held, 0)
            return
        self._cancel()
        self._end(_Ending("stop" if action == "caveat" else "content_filter"))

    def _tool_delta(self, event: ev.ToolDelta) -> None:
        if self._goes_on(event.attempt):
            self._turn.tool(event, event.raw if event.attempt == 0 else None)

    def _extra(self, event: ev.Extra) -> None:
        if self._goes_on(event.attempt, whole=bool(event.tag)) and not (event.tag and self._muted):
            self._turn.extra(event)

    def _finished(self, event: ev.Finished) -> None:
        if self._goes_on(event.attempt):
            raw = event.raw if event.attempt == 0 else None
            ended = event.reason in ("stop", "tool_calls", "function_call")
            # A stop string ends a turn as its own end does; only without any is it sure that the model was done.
            whole = event.reason == "stop" and not self._config.stops
            self._end(_Ending(event.reason, raw, ended=ended, whole=whole))

    def _failed(self, event: ev.Failed) -> None:
        if self._goes_on(event.attempt):
            self._end(_Ending("error", error=event.error, status=event.status))

    def _goes_on(self, attempt: int, whole: bool = True) -> bool:
        """Whether an event of this attempt counts. `whole`: no more can come to the attempt's held opening, so it is
        let through first, which may end the choice."""
        if whole and self._held and self._current(attempt):
            assert self._seam is not None
            self._join(self._seam.end())
        return self._current(attempt)

    def _end(self, ending: _Ending) -> None:
        """The turn's text is whole: what is open becomes segments, and the ending waits for their verdicts. A sentence
        that a limit or a stop string cut off is none yet: it is not held against the model."""
        broken_off = not ending.ended or (ending.reason == "stop" and bool(self._config.stops))
        self._turn.flush(broken_off)
        self._turn.close_tools()
        self._ending = ending

    def _cancel(self) -> None:
        self._out.append(ev.CancelAttempt(self._attempt))

    # Segments and verdicts

    def _advance(self) -> None:
        """Take the turn as far as it can go without another event."""
        while self._examined is None and (entry := self._turn.next_segment(self._attempt)):
            self._admit(entry)
        settled = self._ending is not None and self._examined is None and not self._turn.docket.waiting
        if pieces := self._turn.release(final=settled and self._awaiting is None):
            self._out.append(ev.Emit(tuple(pieces)))
        if settled and self._awaiting is None:
            self._finish()

    def _admit(self, entry: Entry) -> None:
        """A segment is whole: ask for its checks, inline ones first."""
        self._corrector.budget.segment()
        self._log.segment(entry.segment)
        specs = [spec for spec in self._specs if self._applies(spec, entry.segment)]
        entry.pending = {spec.name for spec in specs if not spec.inline}
        if self._turn.behind_tools(entry):
            self._skip(entry, specs)
            return
        entry.inline = {spec.name for spec in specs if spec.inline}
        self._out += [ev.RunCheck(entry.segment, spec.name) for spec in specs if spec.inline]
        if entry.inline:
            self._examined = entry
        else:
            self._passed(entry)

    def _applies(self, spec: CheckSpec, segment: Segment) -> bool:
        return self._covers(spec, segment) and not self._uses[spec.name].only_if

    def _covers(self, spec: CheckSpec, segment: Segment) -> bool:
        wanted = self._uses[spec.name].channels
        return segment.channel in (spec.channels if wanted is None else spec.channels & set(wanted))

    def _skip(self, entry: Entry, specs: Sequence[CheckSpec]) -> None:
        entry.pending = set()
        for spec in specs:
            self._unscanned(entry, spec.name, "after_tool_calls")

    def _start_slow(self, entry: Entry) -> None:
        self._out += [ev.RunCheck(entry.segment, spec.name) for spec in self._specs if spec.name in entry.pending]
        if entry.checked and self._turn.docket.waiting:
            ms = self._turn.watch[entry.segment.channel].max_hold_ms
            self._out.append(ev.StartHold(entry.segment.id, ms))

    def _checked(self, event: ev.Checked) -> None:
        entry = self._answered(event.segment, event.check)
        if entry is None:
            return
        use = self._uses[event.check]
        findings = _whole(entry, use.read(event.findings))
        act = use.judge(findings)
        verdict = self._verdict(entry, event.check, "clean" if act == "none" else "flagged", "", findings)
        if act != "none" and not entry.settled:
            self._escalate(entry, event.check)
        if act == "interrupt" and not entry.settled:
            verdict = self._act(entry, verdict)
        self._log.verdict(entry, verdict)
        self._weigh(entry, event.check)
        if verdict.disposition == "none" and use.premises(findings):
            self._was_used(entry)
        self._after_inline(entry)

    def _unchecked(self, event: ev.Unchecked) -> None:
        entry = self._answered(event.segment, event.check)
        if entry is None:
            return
        if event.status == "unscanned":
            self._unscanned(entry, event.check, event.why)
        else:
            self._log.verdict(entry, self._verdict(entry, event.check, "not_applicable", event.why))
        self._weigh(entry, event.check)
        self._after_inline(entry)

    def _answered(self, segment: int, check: str) -> Entry | None:
        """The standing segment that waits for this check, or None: then the verdict is stale or a repetition."""
        entry = self._turn.docket.get(segment)
        if entry is None:
            return None
        for waiting in (entry.inline, entry.pending, entry.expired):
            if check in waiting:
                waiting.discard(check)
                self._turn.docket.touch()
                return entry
        return None

    def _after_inline(self, entry: Entry) -> None:
        if entry is self._examined and not entry.inline:
            self._examined = None
            if not entry.settled:
                self._passed(entry)

    def _passed(self, entry: Entry) -> None:
        """No inline check stopped it: its slow ones begin, unless it shows an earlier claim in use and falls."""
        if self._gated:
            self._uses_earlier(entry)
        if self._turn.docket.get(entry.segment.id) is not None:
            self._start_slow(entry)

    # What several verdicts amount to

    def _weigh(self, entry: Entry, *answered: str) -> None:
        """Once no check that the fusion weighs is out, let it decide; what answers later is weighed in then."""
        fusion = self._policy.fusion
        if fusion is None or entry.settled or fusion.checks.keys().isdisjoint(answered):
            return
        if not fusion.checks.keys().isdisjoint(entry.inline | entry.pending):
            return
        if (fused := fusion.fuse(entry.verdicts)) is None:
            return
        act = fusion.judge(fused.probability)
        verdict = replace(entry.verdicts[fused.check], fused=fused.probability)
        if act != "none":
            verdict = replace(verdict, status="flagged")
        if act == "interrupt":
            verdict = self._act(entry, verdict)
        self._log.verdict(entry, verdict)

    def _uses_earlier(self, entry: Entry) -> None:
        """A new segment: does it build on a claim that waits for that? The earliest is corrected, and this one goes."""
        said = tokens(entry.segment.text)
        for earlier in reversed(self._turn.docket.before(entry.segment.id, self._policy.interrupt.max_late_segments)):
            if self._turn.docket.get(entry.segment.id) is not None:
                self._use(earlier, entry, said)

    def _was_used(self, entry: Entry) -> None:
        """A verdict has come late: has one of the segments since then built on the claim already?"""
        for later in self._turn.docket.after(entry.segment.id)[: self._policy.interrupt.max_late_segments]:
            if not later.settled:
                self._use(entry, later, tokens(later.segment.text))

    def _use(self, entry: Entry, later: Entry, said: Tokens) -> None:
        """Act on what a claim is flagged for if `said`, a later segment's, builds on it."""
        if not (later.checked or later.segment.channel == entry.segment.channel):
            return
        for verdict in tuple(entry.verdicts.values()):
            waiting = self._uses[verdict.check].premises(verdict.findings) if verdict.disposition == "none" else ()
            used = next((f for f in waiting if builds_on(said, premise(f.subject))), None)
            if used is not None and not entry.settled:
                self._log.verdict(entry, self._act(entry, replace(verdict, used=later.segment.id), used))

    def _escalate(self, entry: Entry, check: str) -> None:
        """Ask the checks that wait for this one to flag something, each once."""
        for spec in self._specs:
            called = check in self._uses[spec.name].only_if and self._covers(spec, entry.segment)
            if called and spec.name not in entry.asked:
                entry.asked.add(spec.name)
                slow = entry.expired if entry.overdue else entry.pending
                (entry.inline if spec.inline else slow).add(spec.name)
                if spec.inline or self._examined is not entry:
                    self._out.append(ev.RunCheck(entry.segment, spec.name))

    def _hold_expired(self, event: ev.HoldExpired) -> None:
        if self._turn.docket.get(event.segment) is None:
            return
        for entry in self._turn.docket.waiting:
            standing = self._turn.docket.get(entry.segment.id) is not None
            if standing and entry.segment.id <= event.segment:
                late, entry.pending, entry.overdue = sorted(entry.pending), set(), True
                entry.expired.update(late)
                for check in late:
                    self._unscanned(entry, check, "hold")
                self._weigh(entry, *late)

    def _unscanned(self, entry: Entry, check: str, why: str) -> None:
        self._log.verdict(entry, self._verdict(entry, check, "unscanned", why))
        if self._policy.on_unscanned == "stop" and self._policy.mode == "supervise" and not entry.settled:
            segment = entry.segment
            span = self._turn.shown(segment.channel, segment.start, segment.end)
            event = replace(self._plain_event("unscanned", why), check=check, channel=segment.channel, span=span)
            self._stopped(entry, self._corrector.stop(entry, event), "content_filter")

    def _verdict(
        self, entry: Entry, check: str, status: Status, why: str, findings: tuple[Finding, ...] = ()
    ) -> Verdict:
        return Verdict(
            segment=entry.segment.id,
            check=check,
            version=self._versions[check],
            status=status,
            why=why,
            findings=findings,
        )

    # Corrections and the end

    def _act(self, entry: Entry, verdict: Verdict, finding: Finding | None = None) -> Verdict:
        held = "".join(delta.text for delta in self._held)
        action = self._corrector.act(entry, verdict, self._attempt, {self._seam_of: held} if held else {}, finding)
        verdict = replace(verdict, disposition=action.disposition)
        if action.interruption and action.resume:
            self._interrupted(entry, action, action.resume)
        elif action.cut:
            self._stopped(entry, action.cut, action.stop)
        return verdict

    def _interrupted(self, entry: Entry, action: Action, resume: Resume) -> None:
        assert action.interruption is not None
        assert action.cut is not None
        self._cut_short(entry, action.cut)
        self._log.discarded_tokens += action.interruption.tokens_wasted
        self._log.interrupted(action.interruption, entry.segment, action.channel, action.at, self._turn)
        self._awaiting = action.interruption.id, resume
        self._attempt = action.interruption.attempt + 1
        self._out.append(ev.Record(action.interruption))

    def _stopped(self, entry: Entry, cut: Cut, reason: str) -> None:
        self._cut_short(entry, cut)
        self._ending = _Ending(reason)

    def _cut_short(self, entry: Entry, cut: Cut) -> None:
        """Text is gone, and with it what waited for it: the ending, held deltas, verdicts, a pending resume."""
        self._cancel()
        self._ending = self._examined = self._awaiting = self._seam = None
        self._held = []
        self._log.discarded(entry.segment)
        if cut.segments:
            self._out.append(ev.DropChecks(tuple(segment.id for segment in cut.segments)))

    def _recorded(self, event: ev.Recorded) -> None:
        if self._awaiting is None or self._awaiting[0] != event.id:
            return
        resume = self._awaiting[1]
        self._awaiting = None
        if event.error and self._policy.record.on_store_error == "stop":
            error = f"the interruption could not be recorded: {event.error}"
            self._ending = _Ending("error", error=error, status=500)
        elif resume.max_tokens == 0:
            self._ending = _Ending("length")
        else:
            self._out.append(ev.OpenAttempt(self._attempt, resume))

    def _client_left(self, event: ev.ClientLeft) -> None:
        self._cancel()
        self._out.append(ev.DropChecks(tuple(entry.segment.id for entry in self._turn.docket.waiting)))
        self._close(_Ending("client_left"), left=True)

    def _finish(self) -> None:
        assert self._ending is not None
        self._close(self._ending)

    def _close(self, ending: _Ending, left: bool = False) -> None:
        self.done = True
        changed = self._log.interruptions or ending.error
        self._out.append(
            ev.Finish(
                reason=ending.reason,
                raw=None if changed else ending.raw,
                error=ending.error,
                status=ending.status,
                closings=self._log.closings(self._turn, ending.ended, complete=ending.whole),
                summary=self._log.summary(
                    self._turn, None if left or ending.error else ending.reason, left=left, error=ending.error
                ),
            )
        )

    def _plain_event(self, kind: Literal["limit", "unscanned"], why: str) -> GuardEvent:
        channel = self._turn.channel or "content"
        at = len(self._turn.tape.text(channel))
        return GuardEvent(event=kind, id=self._corrector.name, channel=channel, span=(at, at), why=why)


def _whole(entry: Entry, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Of a sentence that was cut off, only what is wrong before its last word: "born in Th" may not be all of it."""
    if not entry.broken_off:
        return findings
    text = entry.segment.text.rstrip()
    last = len(text) - len(text.split()[-1])
    return tuple(finding for finding in findings if finding.end is not None and finding.end <= last)
