"""Sessions that the state machine itself has run, on drawn texts and verdicts, and what is written down of them."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from hypothesis import strategies as st

from guard.core import events as ev
from guard.core.records import InterruptionRecord, Provenance, Review, Revision, SessionRecord
from guard.core.types import Channel, Evidence, Finding, Passage, Segment
from tests.core.harness import Harness, policy

Says = Literal["clean", "bad", "part", "odd", "none", "lost"]
"""What a check says of a segment: nothing, what interrupts (of the whole or of its first two characters), what is
flagged only, that there is nothing to check against, or that it could not look."""

Script = Sequence[tuple[Channel, str]]
"""What the upstream writes in one attempt."""

QUESTION = "Capital of Australia?"


def answer(says: Says, segment: Segment) -> tuple[Finding, ...] | ev.Unchecked:
    """The check's answer."""
    found = Finding(score=0.6 if says == "odd" else 1.0, reason="that is wrong.", correction="It is GUARDED.")
    if says in ("bad", "odd"):
        return (found,)
    if says == "part":
        return (dataclasses.replace(found, end=min(2, len(segment.text))),)
    if says == "clean":
        return ()
    return ev.Unchecked(segment.id, "quick", "unscanned" if says == "lost" else "not_applicable", "drawn")


def provenance(session: str = "s", prefix: Mapping[Channel, str] | None = None, **changes: Any) -> Provenance:
    """Where a session came from; `prefix` is the turn that the client began."""
    begun = {key: text for key, text in (prefix or {}).items() if text}
    last = {"role": "assistant", "content": begun.get("content", ""), "reasoning_content": begun.get("reasoning", "")}
    source = Provenance(
        session=session,
        started=1.0,
        conversation="c",
        user="",
        model="m",
        policy_model="pm",
        backend="scripted",
        policy="default",
        policy_hash="h",
        messages=[{"role": "user", "content": QUESTION}, *([last] if begun else [])],
        evidence=Evidence(
            passages=(
                Passage(source="evidence", text="Canberra is the capital of Australia."),
                Passage(source="user", text=QUESTION),
            ),
            question=QUESTION,
        ),
    )
    return dataclasses.replace(source, **changes)


def supervised(
    scripts: Iterable[Script],
    quick: Iterable[Says] = (),
    slow: Iterable[Says] | None = None,
    *,
    prefix: Mapping[Channel, str] | None = None,
    reasoning: str = "interrupt",
    content: str = "retract",
    session: str = "s",
    continuation: str = "text_exact",
) -> tuple[SessionRecord, list[InterruptionRecord]]:
    """One supervised choice: `quick` answers as segments come and `slow` once the attempt has been read, each saying
    "clean" when its list is at its end."""
    said, later = deque(quick), deque(slow or ())
    release = {"interrupt": "immediate", "retract": "checked"}
    watch = {
        "reasoning": {"release": release[reasoning], "correct": reasoning},
        "content": {"release": release[content], "correct": content},
        "tool_calls": {"release": "checked", "correct": "retract"},
    }
    checks = [{"check": "quick"}] + ([{"check": "slow"}] if slow is not None else [])
    harness = Harness(
        policy(watch=watch, checks=checks),
        inline={"quick": lambda segment: answer(said.popleft() if said else "clean", segment)},
        slow=[] if slow is None else ["slow"],
        prefix=dict(prefix or {}),
    )
    _play(harness, deque(scripts), later, continuation)
    assert harness.finish is not None
    assert harness.finish.summary is not None
    source = provenance(session, prefix)
    whole = SessionRecord(provenance=source, ended=2.0, choices=(harness.finish.summary,))
    closings = {closing.id: closing for closing in harness.finish.closings}
    cuts = [
        InterruptionRecord(interruption=cut, provenance=source, at=1.0, delay_s=0, closing=closings[cut.id])
        for cut in harness.records
    ]
    return whole, cuts


def _play(harness: Harness, scripts: deque[Script], later: deque[Says], continuation: str) -> None:
    for _ in range(50):
        attempt = harness.session.attempt
        for channel, text in scripts.popleft() if scripts else [("content", " Done.")]:
            if harness.finish or harness.session.attempt != attempt:
                break
            if channel == "tool_calls":
                harness.feed(ev.ToolDelta(attempt, 0, id="call", name="f", arguments=text))
            else:
                harness.say(text, channel)
        if not harness.finish and harness.session.attempt == attempt:
            harness.end()
        while harness.asked and not harness.finish and harness.session.attempt == attempt:
            segment, check = harness.asked.pop(0)
            told = answer(later.popleft() if later else "clean", segment)
            harness.feed(
                dataclasses.replace(told, check=check)
                if isinstance(told, ev.Unchecked)
                else ev.Checked(segment.id, check, told)
            )
        if harness.finish:
            return
        if harness.session.attempt != attempt:
            harness.open(continuation)


# Drawn ones

_TEXTS = st.lists(
    st.sampled_from(
        ["It is", "Sydney", "sydney.", "**Sydney.**", "No,", "so", "\n", "- ", "é.", "e\u0301.", "悉尼。", "12", "🦘!"]
    ),
    min_size=1,
    max_size=6,
).map(" ".join)
_PARTS: st.SearchStrategy[tuple[Channel, str]] = st.tuples(
    st.sampled_from(["reasoning", "content"]), st.builds("{}{}.".format, st.sampled_from(["", " "]), _TEXTS)
)
_SCRIPTS: st.SearchStrategy[Script] = st.lists(_PARTS, min_size=1, max_size=5).map(
    lambda parts: sorted(parts, key=lambda part: part[0] != "reasoning")
)
_SAYS: st.SearchStrategy[list[Says]] = st.lists(
    st.sampled_from(["clean", "clean", "clean", "bad", "part", "odd", "none", "lost"]), max_size=14
)
_PREFIXES: st.SearchStrategy[Mapping[Channel, str]] = st.sampled_from(
    [{}, {}, {}, {"content": "It"}, {"reasoning": "Sydney."}, {"content": "It is. And"}]
)
REVIEWS: st.SearchStrategy[Review] = st.sampled_from(["unreviewed", "confirmed", "confirmed", "rejected", "disputed"])
REVISIONS = st.sampled_from(
    [
        None,
        None,
        Revision(label="place"),
        Revision(label="place", correction="It is EDITED."),
        Revision(reason="EDITED says otherwise.", correction=""),
        Revision(correction="It is Sydney."),
    ]
)


@st.composite
def drawn_sessions(draw: st.DrawFn) -> tuple[SessionRecord, list[InterruptionRecord], dict[str, Review]]:
    """A session, its interruptions as reviewers left them, and what they made of every subject in it."""
    scripts = draw(st.lists(_SCRIPTS, min_size=1, max_size=4))
    if draw(st.integers(0, 9)) == 0:
        scripts[0] = [*scripts[0], ("tool_calls", '{"q": "Sydney"}')]
    session, cuts = supervised(
        scripts,
        draw(_SAYS),
        draw(st.one_of(st.none(), _SAYS)),
        prefix=draw(_PREFIXES),
        reasoning=draw(st.sampled_from(["interrupt", "retract"])),
        content=draw(st.sampled_from(["interrupt", "retract"])),
        continuation=draw(st.sampled_from(["text_exact", "text_exact", "text_exact", "reask"])),
    )
    (choice,) = session.choices
    subjects = [f"s.0#{segment.id}" for segment in choice.segments] + [cut.interruption.id for cut in cuts]
    reviews = {subject: draw(REVIEWS) for subject in subjects if draw(st.booleans())}
    told = [
        dataclasses.replace(
            cut,
            review=reviews.get(cut.interruption.id, "unreviewed"),
            revised=draw(REVISIONS),
            known=draw(st.sampled_from([None, None, 0.2, 0.9])),
            counterfactual=draw(st.sampled_from([None, " Sydney is big, and it is Sydney. The end."])),
        )
        for cut in cuts
    ]
    return session, told, reviews
