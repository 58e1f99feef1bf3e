"""What reviewers write, segments kept for review, and the text that is searched obey a policy's `record.prompts`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from guard.core.records import InterruptionRecord, Judgement, Revision, SessionRecord
from guard.core.types import Finding, Segment, Summary, Verdict
from guard.store import Database, Filter, privacy
from guard.store.redactor import WITHHELD, Redactor
from tests.store_privacy.makers import BOTH, made
from tests.test_store_privacy import filled, interruption, provenance, stored

SECRET = "jane.roe@example.org"


def judgement(subject: str, **changes: Any) -> Judgement:
    said = Judgement(
        id="j1",
        subject=subject,
        session="s1",
        reviewer="ann",
        at=3.0,
        ruling="rejected",
        label=f"about {SECRET}",
        reason=f"it is {SECRET}",
        correction=f"Ask {SECRET}.",
        note=f"see {SECRET}",
    )
    return dataclasses.replace(said, **changes)


def record() -> InterruptionRecord:
    cut = interruption("", f"Mail {SECRET} about zebras.")
    return InterruptionRecord(interruption=cut, provenance=provenance(), at=1.0, delay_s=0)


def session() -> SessionRecord:
    """One whose second segment was flagged and let pass."""
    first, second = f"Mail {SECRET} now.", f" Or {SECRET}, who is 99."
    segments = (
        Segment(id=1, channel="content", start=0, end=len(first), text=first, attempt=0),
        Segment(id=2, channel="content", start=len(first), end=len(first + second), text=second, attempt=0),
    )
    finding = Finding(score=0.5, reason=f"not {SECRET}", start=second.index("99"), end=second.index("99") + 2)
    verdict = Verdict(segment=2, check="x", version="1", status="flagged", findings=(finding,))
    summary = Summary(
        choice=0,
        finish_reason="stop",
        segments=segments,
        verdicts=(verdict,),
        text={"content": first + second},
        interruptions=0,
        discarded_tokens=0,
        unscanned=0,
    )
    return SessionRecord(provenance=provenance(), ended=2.0, choices=(summary,))


@BOTH
@pytest.mark.parametrize("prompts", ["redacted", "none"])
def test_what_reviewers_write_reaches_no_file(tmp_path: Path, prompts: privacy.Prompts, maker: str) -> None:
    database = Database(f"sqlite:///{tmp_path}/guard.db", redactor=made(maker))
    database.open()
    database.add_interruption(record(), prompts)
    assert database.add_session(session(), 0, prompts)
    assert database.judge(judgement("s1.0.1")) == "rejected"
    assert database.judge(judgement("s1.0#2", id="j2")) == "rejected"
    found, said = database.interruption("s1.0.1"), database.judgements("s1.0.1")[0]
    assert found is not None
    assert (said.reviewer, said.ruling) == ("ann", "rejected")
    if prompts == "redacted":
        assert (said.note, said.correction) == ("see <EMAIL_1>", "Ask <EMAIL_1>.")
        assert found.revised == Revision(label="about <EMAIL_1>", reason="it is <EMAIL_1>", correction="Ask <EMAIL_1>.")
    else:
        assert (said.label, said.reason, said.correction, said.note) == ("", None, None, "")
        assert found.revised is None
    assert SECRET.encode() not in stored(tmp_path)
    database.close()
    assert SECRET.encode() not in stored(tmp_path)


@BOTH
def test_a_segment_kept_for_review_is_redacted_in_its_place(tmp_path: Path, maker: str) -> None:
    database = Database(f"sqlite:///{tmp_path}/guard.db", redactor=made(maker))
    database.open()
    assert database.add_session(session(), 0, "redacted")
    found = database.segment("s1.0#2")
    assert found is not None
    assert (found.before, found.segment.text) == ("Mail <EMAIL_1> now.", " Or <EMAIL_1>, who is 99.")
    finding = found.verdicts[0].findings[0]
    assert found.segment.text[finding.start : finding.end] == "99"
    database.close()


def test_none_keeps_the_segment_without_its_text(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/guard.db")
    database.open()
    assert database.add_session(session(), 0, "none")
    found = database.segment("s1.0#2")
    assert found is not None
    assert (found.before, found.segment.text, found.verdicts[0].findings[0].score) == ("", "", 0.5)
    database.close()


@pytest.mark.parametrize(("prompts", "zebras"), [("full", 1), ("redacted", 1), ("none", 0)])
def test_what_is_searched_is_what_is_stored(tmp_path: Path, prompts: privacy.Prompts, zebras: int) -> None:
    database = Database(f"sqlite:///{tmp_path}/guard.db")
    database.open()
    database.add_interruption(record(), prompts)
    assert database.count(Filter(text="zebras")) == zebras
    assert database.count(Filter(text="jane roe")) == (prompts == "full")
    database.close()


def test_full_keeps_what_reviewers_write() -> None:
    said = judgement("s1.0.1")
    assert privacy.judgement(said, "full", Redactor()) == said
    revised = Revision(label="a", reason=SECRET)
    assert privacy.revision(revised, "full", Redactor()) == revised
    whole = dataclasses.replace(record(), revised=revised)
    assert privacy.interruption(whole, "full", Redactor()).revised == revised
    assert privacy.interruption(whole, "none", Redactor()).revised is None


def test_none_leaves_nothing_that_a_reviewer_wrote() -> None:
    said = dataclasses.replace(filled(Judgement, "zanzibar"), subject="s1.0.1", reviewer="ann")
    assert "zanzibar" not in repr(privacy.judgement(said, "none", Redactor()))


def test_a_record_whose_texts_cannot_be_read_is_kept_without_them(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/guard.db", redactor=lambda: Redactor(lambda _: None))
    database.open()
    database.add_interruption(record(), "redacted")
    assert database.add_session(session(), 0, "redacted")
    found = database.interruption("s1.0.1")
    assert found is not None
    assert found.interruption.claim.text == WITHHELD
    assert (found.interruption.check, found.provenance.session, found.provenance.model) == ("phrase", "s1", "m")
    database.close()
    assert b"Mail" not in stored(tmp_path)
