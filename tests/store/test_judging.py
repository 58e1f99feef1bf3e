"""What reviewers say: consensus, undo, queue, quality, agreement, and the segments they are shown."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.core.records import Judgement, Revision, Ruling
from guard.errors import StoreError
from guard.store import Database, Filter, Recall, Store
from guard.store.judging import consensus
from guard.store.quality import wilson
from tests.store.records import closed, interruption, said, scored, spoken

RULINGS: list[Ruling] = ["confirmed", "rejected", "unsure"]


def consensus_of(database: Database, key: str = "s1.0.1") -> str:
    found = database.interruption(key)
    assert found is not None
    assert database.count(Filter(review=found.review)) >= 1
    return found.review


def test_the_consensus_is_of_each_reviewers_newest(database: Database) -> None:
    database.add_interruption(interruption(1))
    key = "s1.0.1"
    assert database.judge(said(key, "ann", "unsure")) == "unreviewed"
    assert database.judge(said(key, "ann", "confirmed", 2)) == "confirmed" == consensus_of(database)
    assert database.judge(said(key, "bob", "unsure")) == "confirmed"
    assert database.judge(said(key, "bob", "rejected", 2)) == "disputed" == consensus_of(database)
    assert database.judge(said(key, "ann", "rejected", 3)) == "rejected" == consensus_of(database)
    assert [one.ruling for one in database.judgements(key)] == [
        "unsure",
        "confirmed",
        "unsure",
        "rejected",
        "rejected",
    ]
    assert list(database.iter_judgements()) == database.judgements(key)
    assert database.last_judgement("ann") == said(key, "ann", "rejected", 3)
    assert database.last_judgement("nobody") is None
    assert database.reviewed() == {"phrase": (0, 1)}


def test_taking_back_leaves_what_was_before(database: Database) -> None:
    database.add_interruption(interruption(1))
    first = said("s1.0.1", "ann", "confirmed", reason="was this")
    second = said("s1.0.1", "ann", "rejected", 2)
    database.judge(first)
    database.judge(second)
    assert database.undo(second.id) == second
    assert consensus_of(database) == "confirmed"
    assert database.undo(second.id) is None
    assert database.undo(first.id) == first
    assert consensus_of(database) == "unreviewed"
    found = database.interruption("s1.0.1")
    assert found is not None
    assert found.revised is None


def test_the_newest_edit_is_in_the_record(database: Database) -> None:
    database.add_interruption(interruption(1))
    database.judge(said("s1.0.1", "ann", "confirmed", label="date", reason="it was 1912"))
    database.judge(said("s1.0.1", "bob", "confirmed", correction="It was in 1912."))
    database.judge(said("s1.0.1", "cy", "confirmed"))
    assert database.close_interruptions([closed("s1.0.1")]) == 1
    found = database.interruption("s1.0.1")
    assert found is not None
    assert found.revised == Revision(correction="It was in 1912.")
    assert found.closing is not None


def test_what_is_not_on_record_cannot_be_judged(database: Database) -> None:
    assert database.judge(said("s9.0.1", "ann", "confirmed")) is None
    assert list(database.iter_judgements()) == []


def test_a_judgement_is_its_subjects_sessions_and_written_once(database: Database) -> None:
    database.add_interruption(interruption(1, "mine"))
    judgement = said("mine.0.1", "ann", "confirmed", session="another")
    database.judge(judgement)
    assert database.judgements("mine.0.1") == [dataclasses.replace(judgement, session="mine")]
    with pytest.raises(StoreError, match="already stored"):
        database.judge(judgement)


@pytest.mark.parametrize("prompts", ["redacted", "none"])
def test_a_judgement_is_stored_as_its_subject_is(database: Database, prompts: str) -> None:
    database.add_interruption(interruption(1), prompts)  # type: ignore[arg-type]
    secret = "jane.roe@example.org"
    database.judge(
        said("s1.0.1", "ann", "confirmed", reason=f"ask {secret}", note=secret, correction=f"It is {secret}.")
    )
    found = database.interruption("s1.0.1")
    assert found is not None
    assert secret not in repr(database.judgements("s1.0.1")) + repr(found)
    assert found.review == "confirmed"


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(RULINGS), st.booleans()), max_size=8),
    st.integers(0),
)
def test_undoing_is_as_if_it_had_not_been_said(
    database: Database, judgements: list[tuple[str, Ruling, bool]], run: int
) -> None:
    database.forget(session="s1")
    database.add_interruption(interruption(1))
    kept: dict[str, Judgement] = {}
    for number, (reviewer, ruling, undone) in enumerate(judgements):
        judgement = said("s1.0.1", reviewer, ruling, key=f"{run}.{number}")
        database.judge(judgement)
        if undone:
            database.undo(judgement.id)
        else:
            kept.pop(reviewer, None)
            kept[reviewer] = judgement
    assert consensus_of(database) == consensus(list(kept.values()))


def test_segments_are_kept_for_review(database: Database) -> None:
    record = spoken("s1", "clean", "flagged", "interrupted", "unscanned", "clean")
    assert database.add_session(record)
    flagged = database.segment("s1.0#1")
    assert flagged is not None
    assert (flagged.kind, flagged.review, flagged.at) == ("flagged", "unreviewed", record.ended)
    assert flagged.before == "Statement 0 of s1. "
    assert flagged.segment.text == "Statement 1 of s1. "
    assert flagged.verdicts == (record.choices[0].verdicts[1],)
    assert flagged.provenance == record.provenance
    clean = [found for key in (0, 4) if (found := database.segment(f"s1.0#{key}"))]
    assert [one.kind for one in clean] == ["clean"]
    assert [database.segment(key) for key in ("s1.0#2", "s1.0#3", "s2.0#0")] == [None] * 3
    assert database.judge(said("s1.0#1", "ann", "rejected")) == "rejected"
    judged = database.segment("s1.0#1")
    assert judged is not None
    assert judged.review == "rejected"


def test_a_queue_holds_what_tells_most_first_and_never_what_was_judged(database: Database) -> None:
    database.add_interruption(scored(1, 0.95))
    database.add_interruption(scored(2, 0.55))
    database.add_interruption(scored(3, 0.95, "clean", "clean", "unscanned"))
    database.add_session(spoken("f", "flagged"))
    queue = database.queue("ann", 10, clean_share=0)
    assert [(one.id, one.why) for one in queue] == [
        ("f.0#0", "flagged, not interrupted"),
        ("s1.0.3", "checks disagree"),
        ("s1.0.2", "near the threshold"),
        ("s1.0.1", "not judged yet"),
    ]
    assert [one.kind for one in queue] == ["segment", "interruption", "interruption", "interruption"]
    assert queue[2].doubt == pytest.approx(0.45)
    assert queue == database.queue("ann", 10, clean_share=0)
    for subject in queue[:3]:
        database.judge(said(subject.id, "ann", "unsure" if subject.id == "f.0#0" else "confirmed"))
    assert [one.id for one in database.queue("ann", 10)] == ["s1.0.1"]
    others = database.queue("bob", 10)
    assert [one.id for one in others[:2]] == ["f.0#0", "s1.0.1"]
    assert {(one.id, one.why) for one in others[2:]} == {("s1.0.3", "second opinion"), ("s1.0.2", "second opinion")}
    assert database.queue("bob", 0) == []


def test_only_a_score_below_what_is_sure_is_near_the_threshold(database: Database) -> None:
    for number, score in enumerate((0.0, 0.5, 0.89, 0.9, 1.0)):
        database.add_interruption(scored(number, score))
    why = {one.id: one.why for one in database.queue("ann", 9, clean_share=0)}
    assert [why[f"s1.0.{number}"] for number in range(5)] == [
        "not judged yet",
        "near the threshold",
        "near the threshold",
        "not judged yet",
        "not judged yet",
    ]


def test_the_newest_segments_come_first_and_only_of_one_kind(database: Database) -> None:
    long = "s" * 300
    with database.batch():
        for at, name in enumerate(("old", "mid", long, "new"), 1):
            record = spoken(name, "flagged", "clean", "interrupted", "flagged", at=float(at))
            database.add_session(record, 1e9)
    database.judge(said("new.0#0", "ann", "rejected"))
    found = database.segments(5)
    assert [one.id for one in found[:2]] == ["new.0#3", "new.0#0"]
    assert [(one.provenance.session, one.segment.id) for one in found[2:4]] == [(long, 3), (long, 0)]
    assert found[4] == database.segment("mid.0#3")
    assert [one.review for one in found[:2]] == ["unreviewed", "rejected"]
    assert database.segments(2, "clean")[0].id == "new.0#1"
    assert {one.kind for one in database.segments(9, "clean")} == {"clean"}
    assert len(database.segments(9)) == 8
    assert database.segments(0) == database.segments(-1) == []


def test_disputes_come_before_other_second_opinions(database: Database) -> None:
    for number in (1, 2):
        database.add_interruption(interruption(number))
        database.judge(said(f"s1.0.{number}", "ann", "confirmed"))
    database.judge(said("s1.0.1", "bob", "rejected"))
    assert [one.id for one in database.queue("cy", 1)] == ["s1.0.1"]


def test_clean_segments_are_mixed_in_and_reviewers_begin_apart(database: Database) -> None:
    with database.batch():
        for number in range(40):
            database.add_interruption(scored(number, 0.9))
            database.add_session(spoken(f"n{number}", "clean", "clean"), 1e9)
            database.add_session(spoken(f"f{number}", "flagged"), 1e9)
        for number in range(40):
            database.add_session(spoken(f"c{number}", "clean", "clean"), 1e9)
    queue = database.queue("ann", 20, clean_share=0.25)
    clean = [index for index, one in enumerate(queue) if one.why == "random clean segment"]
    assert len(clean) == 5
    assert all(3 <= after - before <= 5 for before, after in pairwise(clean))
    other = database.queue("bob", 20, clean_share=0.25)
    assert {one.id for one in queue} != {one.id for one in other}
    assert len({one.id for one in queue}) == 20


def test_quality_counts_what_reviewers_agree_on(database: Database) -> None:
    for number, ruling in enumerate(["confirmed"] * 3 + ["rejected", "unsure"]):
        database.add_interruption(interruption(number))
        database.judge(said(f"s1.0.{number}", "ann", ruling))  # type: ignore[arg-type]
    (found,) = database.quality()
    assert (found.check, found.confirmed, found.rejected, found.precision) == ("phrase", 3, 1, 0.75)
    assert (found.low, found.high) == pytest.approx((0.3006, 0.9544), abs=1e-4)  # as tables of it have them


@given(st.integers(0, 500), st.integers(0, 500))
def test_an_interval_holds_the_share(good: int, bad: int) -> None:
    low, high = wilson(good, good + bad)
    assert 0 <= low <= high <= 1
    if good + bad:
        assert low - 1e-9 <= good / (good + bad) <= high + 1e-9
        wider = wilson(good / 4, (good + bad) / 4)
        assert wider[0] <= low + 1e-9


def test_recall_is_estimated_from_clean_segments(database: Database) -> None:
    assert database.recall() is None
    for number in range(8):
        database.add_interruption(interruption(number))
        database.judge(said(f"s1.0.{number}", "ann", "confirmed" if number else "rejected"))
    database.add_session(spoken("f", "flagged"))
    for number in range(10):
        database.add_session(spoken(f"c{number}", "clean"), 100.0)
    for subject in database.queue("bob", 100, clean_share=1):
        if subject.why == "random clean segment":
            database.judge(said(subject.id, "bob", "rejected" if subject.session == "c3" else "confirmed"))
    assert database.recall() is None
    database.tally("m", "p", at=0.0, segments=70)
    found = database.recall()
    assert isinstance(found, Recall)
    assert (found.judged, found.missed, found.segments, found.interruptions) == (10, 1, 70, 8)
    quiet = 70 - 8 - 1  # neither interrupted nor flagged
    assert found.value == pytest.approx(7 / (7 + 0.1 * quiet))
    assert found.low < found.value < found.high
    (flagged,) = database.segments(10)
    database.judge(said(flagged.id, "bob", "rejected"))  # it was missed too
    found = database.recall()
    assert isinstance(found, Recall)
    assert found.value == pytest.approx(7 / (7 + 0.1 * quiet + 1))


def test_precision_counts_by_check_however_often_each_is_judged(database: Database) -> None:
    """Two checks: one is always right and seldom judged, the other never and always."""
    for number in range(20):
        database.add_interruption(interruption(number, check="good" if number < 18 else "bad"))
    for number, ruling in ((0, "confirmed"), (1, "confirmed"), (18, "rejected"), (19, "rejected")):
        database.judge(said(f"s1.0.{number}", "ann", ruling))  # type: ignore[arg-type]
    database.add_session(spoken("f", "flagged"))
    database.add_session(spoken("c", "clean"), 100.0)
    (clean,) = database.segments(10, "clean")
    database.judge(said(clean.id, "ann", "rejected"))
    database.tally("m", "p", at=0.0, segments=20 + 1 + 18)
    found = database.recall()
    assert isinstance(found, Recall)
    assert found.value == pytest.approx(18 / (18 + 18))


def test_agreement_is_beyond_chance(database: Database) -> None:
    assert database.agreement().kappa is None
    rulings: list[tuple[Ruling, Ruling]] = [*[("confirmed", "confirmed")] * 4, *[("rejected", "rejected")] * 4]  # type: ignore[list-item]
    rulings.extend([("confirmed", "rejected"), ("unsure", "rejected")])
    for number, (one, other) in enumerate(rulings):
        database.add_interruption(interruption(number))
        database.judge(said(f"s1.0.{number}", "ann", "unsure"))
        database.judge(said(f"s1.0.{number}", "ann", one, 2))
        database.judge(said(f"s1.0.{number}", "bob", other))
    found = database.agreement()
    assert (found.pairs, found.agreed, found.reviewers) == (9, 8, 2)
    assert found.kappa == pytest.approx((8 / 9 - 0.5) / 0.5)


async def test_the_store_judges_too(store: Store) -> None:
    await store.add_interruption(interruption(1))
    await store.add_session(spoken("f", "flagged", "clean"))
    assert await store.judge(said("s1.0.1", "ann", "confirmed")) == "confirmed"
    assert [one.ruling for one in await store.judgements("s1.0.1")] == ["confirmed"]
    last = await store.last_judgement("ann")
    assert last is not None
    assert len(list(store.iter_judgements())) == 1
    found = {one.why for one in await store.queue("bob", 5)}
    assert found == {"flagged, not interrupted", "random clean segment", "second opinion"}
    assert await store.segment("f.0#0") is not None
    assert await store.segments(9) == [await store.segment("f.0#0")]
    assert [one.kind for one in await store.segments(9, "clean")] == ["clean"]
    assert len(await store.quality()) == 1
    assert (await store.agreement()).reviewers == 1
    assert await store.recall() is None
    assert await store.undo(last.id) == last


def test_forgetting_takes_what_was_said_along(database: Database) -> None:
    database.add_interruption(interruption(1))
    database.add_session(spoken("s1", "flagged", "clean"))
    for subject in ("s1.0.1", "s1.0#0"):
        database.judge(said(subject, "ann", "confirmed"))
    assert database.forget(session="s1") == 6
    assert list(database.iter_judgements()) == []
    assert database.queue("bob", 9) == []
