"""Random interleavings of everything that can happen to a session, without an event loop.

Every sentence carries a marker of its own (`s17`), so what the client got can be compared with what was judged.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core import events as ev
from guard.core.policy import Policy
from guard.core.types import Finding, Segment
from tests.core.harness import Answer, Harness, policy

MARK = re.compile(r"s\d+")
CLAIM = re.compile(r"^s\.0\.s(\d+)$")
RUNS = int(os.environ.get("GUARD_FUZZ_RUNS", "20000"))
BLOCKS = 20


def findings(segment: Segment) -> tuple[Finding, ...]:
    """BAD interrupts, ODD is flagged only."""
    if "BAD" in segment.text:
        return (
            Finding(score=1.0, reason="wrong.", correction="GUARD.", subject="x" if "SUBJ" in segment.text else ""),
        )
    if "ODD" not in segment.text:
        return ()
    return (Finding(score=0.6, reason="odd.", correction="GUARD.", subject="word" if "AGAIN" in segment.text else ""),)


def weighing(rng: random.Random) -> dict[str, Any]:
    """Random weights of both checks, at which all, some or none of what is found interrupts."""
    weights = {
        name: {"check_version": "1", "weight": rng.choice([0.0, 0.5, 1.0]), "silent": rng.choice([-2.0, 0.0])}
        for name in ("quick", "slow")
    }
    flag_at = rng.choice([0.5, 0.9])
    interrupt_at = rng.choice([None, flag_at, 0.95])
    return {"version": 1, "checks": weights, "bias": 0.0, "flag_at": flag_at, "interrupt_at": interrupt_at}


class Fuzz:
    """One random session with an oracle beside it."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.policy = self._policy()
        inline: dict[str, Answer] = {"quick": self._quick}
        self.harness = Harness(
            self.policy,
            inline=inline if rng.random() < 0.8 else {},
            slow=["slow"] if rng.random() < 0.7 else [],
            record=False,
            max_tokens=rng.choice([None, None, 40, 400]),
            stops=rng.choice([(), ("s9 word", "STOP")]),
            structured=rng.random() < 0.1,
        )
        self.n = 0
        self.pending: list[ev.Delta | ev.Finished | ev.ToolDelta | ev.Failed] = []
        self.stale: list[ev.Delta] = []
        self.unanswered: dict[tuple[int, str], Segment] = {}
        self.expired: set[int] = set()
        self.dropped: set[int] = set()
        self.excused: set[str] = set()
        self.seen = 0
        self.recorded: set[str] = set()
        self.script(0)

    def _policy(self) -> Policy:
        rng = self.rng
        release = rng.choice(["immediate", "checked"])
        watch = {
            "reasoning": {"release": release, "correct": "retract" if release == "checked" else "interrupt"},
            "content": {"release": "checked", "correct": rng.choice(["retract", "interrupt"])},
            "tool_calls": {"release": rng.choice(["checked", "checked", "immediate"])},
        }
        thresholds: dict[str, Any] = rng.choice([{}, {}, {"used_at": 0.5}, {"used_at": 0.5, "interrupt_at": 1.0}])
        fusion = weighing(rng) if rng.random() < 0.4 else None
        self.alone = fusion is None or rng.random() < 0.5  # else all that a check finds is weighed and nothing more
        thresholds = thresholds if self.alone else {"flag_at": None, "interrupt_at": None}
        checks = [{"check": "quick"} | thresholds, {"check": "slow"} | thresholds]
        if self.alone and rng.random() < 0.2:
            checks[1]["only_if"] = ["quick"]
        interrupt = {
            "max_per_response": rng.choice([0, 1, 3, 9]),
            "max_per_check": rng.choice([1, 9]),
            "cooldown_segments": rng.choice([0, 1]),
            "max_late_segments": rng.choice([0, 3]),
            "max_wasted_tokens": rng.choice([10, 9999]),
            "at_limit": rng.choice(["caveat", "release", "stop"]),
        }
        unscanned = rng.choice(["release", "release", "stop"])
        return policy(watch=watch, checks=checks, fusion=fusion, interrupt=interrupt, on_unscanned=unscanned)

    def _quick(self, segment: Segment) -> tuple[Finding, ...] | ev.Unchecked:
        assert "GUARD" not in segment.text, "guard's own text was checked"
        if self.rng.random() < 0.03:
            self.excused.add(segment.text)
            return ev.Unchecked(segment.id, "quick", self.rng.choice(["unscanned", "not_applicable"]), "error")
        return findings(segment)

    def sentence(self) -> str:
        self.n += 1
        word = self.rng.choices(["fine", "BAD", "ODD", "BAD SUBJ", "ODD AGAIN"], [6, 2, 1, 1, 1])[0]
        if self.rng.random() < 0.15:
            return f" Same BAD claim {self.n % 3}."
        return f" The s{self.n} is {word} word."

    def script(self, attempt: int) -> None:
        """What the upstream will say in this attempt, cut at random."""
        rng = self.rng
        self.pending = []
        for channel in ("reasoning", "content"):
            text = "".join(self.sentence() for _ in range(rng.randint(0, 4)))
            while text:
                size = rng.choice([1, 3, 8, 40, 400])
                self.pending.append(ev.Delta(attempt, channel, text[:size]))
                text = text[size:]
        if rng.random() < 0.2:
            for index in range(rng.randint(1, 2)):
                self.n += 1
                bad = "BAD" if rng.random() < 0.5 else "fine"
                self.pending.append(ev.ToolDelta(attempt, index, id=f"c{self.n}", name="f", arguments='{"q": '))
                self.pending.append(ev.ToolDelta(attempt, index, arguments=f'"s{self.n} {bad}"}}'))
        end = ev.Failed(attempt, "broken") if rng.random() < 0.05 else ev.Finished(attempt, "stop")
        self.pending.append(end)

    def run(self) -> None:
        rng, harness = self.rng, self.harness
        for _ in range(400):
            if harness.finish:
                break
            self.step(rng.choice(["upstream"] * 6 + ["slow", "hold", "record", "stale", "again", "rare"]))
            self.observe()
        else:
            self.drain()
        assert harness.finish is not None, "no finish"
        self.after()

    def drain(self) -> None:
        """Nothing random any more: the session must come to its end."""
        for _ in range(2000):
            for action in ("record", "slow", "upstream"):
                self.step(action)
                self.observe()
            if self.harness.finish:
                return

    def step(self, action: str) -> None:
        harness, rng = self.harness, self.rng
        if action == "upstream" and self.pending:
            event = self.pending.pop(0)
            if event.attempt == harness.session.attempt:
                harness.feed(event)
            elif isinstance(event, ev.Delta):
                self.stale.append(event)
        elif action == "slow" and harness.asked:
            segment, check = harness.asked.pop(rng.randrange(len(harness.asked)))
            self.unanswered.pop((segment.id, check), None)
            answer: ev.Event = ev.Checked(segment.id, check, findings(segment))
            if rng.random() < 0.1:
                answer = ev.Unchecked(segment.id, check, "unscanned", "deadline")
            harness.feed(answer)
            if rng.random() < 0.1:
                harness.feed(answer)  # said twice
        elif action == "hold" and harness.holds and rng.random() < 0.3:
            hold = harness.holds.pop(rng.randrange(len(harness.holds)))
            if hold.segment not in self.dropped:
                self.expired.update(range(hold.segment + 1))
            harness.feed(hold_event := ev.HoldExpired(hold.segment))
            assert hold_event
        elif action == "record" and harness.records:
            interruption = harness.records[-1]
            if interruption.id not in self.recorded:
                self.recorded.add(interruption.id)
                error = "disk full" if rng.random() < 0.05 else None
                harness.feed(ev.Recorded(interruption.id, error))
        elif action == "stale" and self.stale:
            harness.feed(replace(rng.choice(self.stale), text=" STALE text. "))
        elif action == "rare" and rng.random() < 0.02:
            harness.feed(ev.ClientLeft())

    def observe(self) -> None:
        """Read the new commands and hold the session to its rules."""
        harness = self.harness
        for command in harness.commands[self.seen :]:
            match command:
                case ev.RunCheck(segment, check) if check not in harness.inline:
                    self.unanswered[segment.id, check] = segment
                case ev.DropChecks(segments):
                    self.dropped.update(segments)
                    for key in [k for k in self.unanswered if k[0] in segments]:
                        del self.unanswered[key]
                case ev.CancelAttempt(attempt):
                    held = [e for e in self.pending if isinstance(e, ev.Delta) and e.attempt == attempt]
                    self.stale += held
                    self.pending = []
                case ev.OpenAttempt(attempt, resume):
                    assert harness.records[-1].id in self.recorded, "resumed before it was recorded"
                    assert harness.records[-1].attempt + 1 == attempt == harness.session.attempt
                    assert resume.max_tokens != 0
                    harness.feed(ev.Opened(attempt, self.rng.choice(["text_exact", "field_prefill", "reask"])))
                    self.script(attempt)
                case ev.Emit(pieces):
                    self.emitted(pieces)
        self.seen = len(harness.commands)

    def emitted(self, pieces: tuple[ev.Piece, ...]) -> None:
        """Rule 1, seen from outside: text of a checked channel is out only if nothing before it is unanswered. Nothing
        waits for what is still to be said of a claim that has been dealt with."""
        done = {record.verdicts[0].segment for record in self.harness.records}
        done |= {int(of) for p in self.harness.pieces if p.guard for of in CLAIM.findall(p.guard.id)}
        excused = self.expired | self.dropped | done
        for piece in pieces:
            watch = self.policy.watch[piece.channel]
            if watch.release != "checked" or not MARK.search(piece.text):
                continue
            marks = set(MARK.findall(piece.text))
            ids = [s.id for s in self.harness.segments if marks & set(MARK.findall(s.text))]
            waiting = [i for i, _ in self.unanswered if ids and i <= min(ids) and i not in excused]
            assert not waiting, (piece, waiting)

    def after(self) -> None:
        harness = self.harness
        finish = harness.finish
        assert finish
        assert finish.summary
        limits = self.policy.interrupt
        assert len(harness.records) <= limits.max_per_response
        assert len({r.id for r in harness.records}) == len(harness.records) == len(finish.closings)
        assert harness.session.receive(ev.Finished(harness.session.attempt, "stop")) == []
        assert "STALE" not in harness.text("reasoning") + harness.text("content")
        plain = not ({"limit", "late"} & set(harness.told)) and not any(
            p.guard and p.guard.discarded for p in harness.pieces
        )
        if plain and finish.reason not in ("client_left", "error", "content_filter") and not finish.error:
            for channel in ("reasoning", "content"):
                assert harness.text(channel) == finish.summary.text[channel]
        self.spans()
        for closing in finish.closings:
            followed = closing.followed + closing.answer
            for text in self.excused:
                followed = followed.replace(text, "")
            assert "BAD" not in followed or not self.harness.inline or not self.alone, "a claim became a target"
        self.weighed()

    def weighed(self) -> None:
        """A fusion interrupts for its probability alone, and what is used is used later and near enough."""
        assert self.harness.finish
        assert self.harness.finish.summary
        fusion, limits = self.policy.fusion, self.policy.interrupt
        for record in self.harness.records:
            first = record.verdicts[0]
            assert first.status == "flagged"
            if first.fused is not None:
                assert fusion is not None
                assert fusion.judge(first.fused) == "interrupt" or first.used is not None
            assert first.fused is not None or self.alone
            assert first.used is None or first.segment < first.used
            assert first.used is None or limits.max_late_segments
        for verdict in self.harness.finish.summary.verdicts:
            if verdict.fused is not None:
                assert fusion is not None
                assert verdict.status == "flagged" or fusion.judge(verdict.fused) == "none"

    def spans(self) -> None:
        """Where the client is told a claim stands, it has that claim (a caveat may have been shown inside it)."""
        harness = self.harness
        claims = {r.id: r.claim.text for r in harness.records} | {f"s.0.s{s.id}": s.text for s in harness.segments}
        for event in (piece.guard for piece in harness.pieces if piece.guard):
            if (
                event.channel == "tool_calls"
                or event.event not in ("interruption", "late", "limit")
                or event.id == "s.0"
            ):
                continue
            received = harness.text(event.channel)
            found = received[slice(*event.span)]
            never_sent = event.span[0] == event.span[1] <= len(received)
            assert found == claims[event.id] or "GUARD" in found or never_sent, (event, found)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_interleavings(block: int) -> None:
    for seed in range(block * RUNS // BLOCKS, (block + 1) * RUNS // BLOCKS):
        try:
            Fuzz(seed).run()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error


WORDS = st.sampled_from(["Fine.", "BAD it is.", "ODD it is.", "ODD AGAIN it is.", "The word is.", "BAD and ODD word."])


def told(made: Policy, texts: list[str], channel: Any, cut: Callable[[str], Iterable[int]]) -> Any:
    """Segments, interruptions and verdicts of a session whose attempts say these texts, one after the other."""
    harness = Harness(made, inline={"quick": findings, "slow": findings})
    for at, text in enumerate(texts):
        if len(harness.records) < at:
            break
        if at:
            harness.open()
        harness.say(text, channel, cuts=cut(text))
        if len(harness.records) == at:
            harness.end()
    finish = harness.finish
    records = [(r.claim, r.correct, r.put_in, r.kept, r.check, r.verdicts) for r in harness.records]
    summary = finish and finish.summary and replace(finish.summary, discarded_tokens=0)  # counts what was not sent too
    return harness.segments, records, summary, finish and finish.reason


@given(st.lists(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), min_size=3, max_size=3), st.randoms())
def test_cutting_never_matters_whatever_is_weighed_or_waited_for(texts: list[str], rng: random.Random) -> None:
    used: dict[str, Any] = rng.choice([{}, {"used_at": 0.5}, {"flag_at": None, "interrupt_at": None}])
    channel = rng.choice(["reasoning", "content"])
    made = policy(
        checks=[{"check": "quick"} | used, {"check": "slow"}],
        fusion=weighing(rng) if rng.random() < 0.7 else None,
        interrupt={"cooldown_segments": rng.choice([0, 1]), "max_late_segments": rng.choice([0, 1, 3])},
        watch={"reasoning": {"release": "immediate"}, "content": {"correct": rng.choice(["retract", "interrupt"])}},
    )

    def anywhere(text: str) -> list[int]:
        return sorted(rng.sample(range(1, len(text)), rng.randint(1, min(9, len(text) - 1))))

    whole = told(made, texts, channel, lambda text: [])
    assert told(made, texts, channel, lambda text: range(1, len(text))) == whole
    assert told(made, texts, channel, anywhere) == whole
