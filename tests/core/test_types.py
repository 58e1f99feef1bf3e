from __future__ import annotations

from guard.core.records import Provenance, SessionRecord
from guard.core.types import Status, Summary, Verdict, normalise


def summary(status: Status) -> Summary:
    verdict = Verdict(segment=0, check="a", version="1", status=status)
    return Summary(
        choice=0,
        finish_reason="stop",
        segments=(),
        verdicts=(verdict,),
        text={},
        interruptions=0,
        discarded_tokens=0,
        unscanned=0,
    )


def test_case_spacing_and_outer_punctuation_do_not_make_another_claim() -> None:
    assert normalise(' "The  Claim\n is 5%."') == normalise("the claim is 5%") == "the claim is 5"


def test_a_summary_is_flagged_if_any_verdict_is() -> None:
    assert (summary("flagged").flagged, summary("unscanned").flagged) == (True, False)


def test_a_session_is_flagged_if_any_choice_is() -> None:
    origin = Provenance(
        session="s",
        started=0.0,
        conversation="c",
        user="",
        model="m",
        policy_model="m",
        backend="b",
        policy="p",
        policy_hash="h",
        messages=[],
    )
    choices = (summary("clean"), summary("flagged"))
    assert SessionRecord(provenance=origin, ended=1.0, choices=choices).flagged
    assert not SessionRecord(provenance=origin, ended=1.0, choices=choices[:1]).flagged
