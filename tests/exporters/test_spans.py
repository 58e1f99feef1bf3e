"""Texts with what is wrong in them marked."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from guard.core.records import InterruptionRecord, Review, SessionRecord
from guard.core.types import Evidence, Passage
from guard.evaluation.rows import read_files
from guard.exporters import Row
from guard.exporters.spans import plugin
from guard.targets.labels import labelled
from guard.targets.tokens import IGNORED
from guard.train.grounding_data import read_folder
from tests.exporters.records import TOKENIZERS
from tests.exporters.sessions import drawn_sessions, supervised

SAYS: Any = [("content", "They ask. It is Sydney. ")]
GOES_ON: Any = [("content", " So Canberra.")]
UNREVIEWED: Mapping[str, Review] = {}


def found(
    session: SessionRecord, reviews: Mapping[str, Review] = UNREVIEWED, skipped: Counter[str] | None = None, **how: Any
) -> list[Row]:
    return list(plugin.session_rows([session], reviews, skipped=skipped, **{"unreviewed": True} | how))


def marked(row: Row) -> list[str]:
    return [row["response"][span["start"] : span["end"]] for span in row["spans"]]


@pytest.mark.parametrize("content", ["interrupt", "retract"])
def test_the_claim_is_marked_and_guards_words_are_not_there(content: str) -> None:
    session, _ = supervised([SAYS, GOES_ON], ["clean", "bad"], content=content)
    (row,) = found(session)
    assert row["response"] == "They ask. It is Sydney. So Canberra."
    assert row["spans"] == [{"start": 10, "end": 23, "label": "confabulated", "check": "quick"}]
    assert (row["id"], row["hallucinated"], row["question"]) == ("s.0.content", True, "Capital of Australia?")
    assert row["context"] == "Canberra is the capital of Australia."


def test_a_clean_session_has_nothing_marked() -> None:
    session, _ = supervised([[("reasoning", "They ask. "), ("content", "It is Canberra.")]])
    assert [(row["channel"], row["response"], row["spans"], row["hallucinated"]) for row in found(session)] == [
        ("reasoning", "They ask.", [], False),
        ("content", "It is Canberra.", [], False),
    ]


def test_a_finding_says_which_part_of_it_is_wrong() -> None:
    session, _ = supervised([[("content", "12 is the answer. ")], GOES_ON], ["part"])
    (row,) = found(session)
    assert marked(row) == ["12"]


def test_where_the_rest_would_still_say_it_the_whole_is_marked() -> None:
    session, _ = supervised([[("content", "-- It is Sydney. ")], GOES_ON], ["part"])
    (row,) = found(session)
    assert marked(row) == ["-- It is Sydney."]


@pytest.mark.parametrize("says", ["lost", "none"])
def test_what_nobody_looked_at_is_left_out(says: Any) -> None:
    session, _ = supervised([SAYS], ["clean", says])
    assert [row["response"] for row in found(session)] == ["They ask."]


def test_reviewers_have_the_last_word() -> None:
    session, _ = supervised([SAYS, GOES_ON], ["clean", "bad"])
    assert marked(found(session, {"s.0.1": "rejected"})[0]) == []
    assert marked(found(session, {"s.0#0": "rejected"})[0]) == ["They ask.", "It is Sydney."]
    assert found(session, {"s.0#0": "rejected"})[0]["spans"][0]["check"] == ""
    assert found(session, {"s.0.1": "disputed"})[0]["response"] == "They ask. So Canberra."
    assert found(session, unreviewed=False)[0]["response"] == "They ask. So Canberra."
    assert marked(found(session, unreviewed=False, trusted=["quick"])[0]) == ["It is Sydney."]


def test_what_the_client_began_is_not_in_it() -> None:
    session, _ = supervised([[("content", " it is Sydney. ")], GOES_ON], ["bad"], prefix={"content": "Well,"})
    (row,) = found(session)
    assert row["response"] == " it is Sydney. So Canberra."
    assert marked(row) == ["it is Sydney."]


def test_a_claim_that_stands_across_two_segments_gives_no_row() -> None:
    skipped = Counter[str]()
    apart: Any = [("content", " Well, it is\n\nSydney. ")]
    session, _ = supervised([[("content", "It is Sydney. ")], apart], ["bad"])
    assert [segment.text for segment in session.choices[0].segments][1:] == [" Well, it is", "\n\nSydney."]
    assert found(session, skipped=skipped) == []
    assert skipped == {"claim cannot be marked": 1}


def test_without_text_there_is_no_row() -> None:
    skipped = Counter[str]()
    session, _ = supervised([SAYS], ["none", "none"])
    bare = dataclasses.replace(session, provenance=dataclasses.replace(session.provenance, messages=None))
    assert found(session, skipped=skipped) == found(bare, skipped=skipped) == []
    assert skipped == {"no segment judged": 1, "no text": 1}


def test_the_tokens_of_the_response_have_labels() -> None:
    qwen = TOKENIZERS["qwen"]
    session, _ = supervised([SAYS, GOES_ON], ["clean", "bad"])
    (row,) = found(session, tokenizer=qwen)
    at = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label == 1]
    right = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label == 0]
    assert qwen.decode(at).strip() == "It is Sydney."
    assert qwen.decode(right).split() == "They ask. So Canberra.".split()
    assert qwen.decode([t for t, label in zip(row["input_ids"], row["labels"], strict=True) if label == IGNORED]) == (
        "Canberra is the capital of Australia.\n\nCapital of Australia?"
    )


def test_a_text_that_no_tokenizer_takes_is_counted() -> None:
    skipped = Counter[str]()
    session, _ = supervised([[("content", "It \ud800 is.")]])
    assert found(session, skipped=skipped, tokenizer=TOKENIZERS["qwen"]) == []
    assert skipped == {"not text-exact": 1}


def test_evidence_of_every_kind_is_context_and_the_question_is_not() -> None:
    session, _ = supervised([SAYS])
    passages = (
        Passage(source="tool", text="A."),
        Passage(source="user", text="B."),
        Passage(source="user", text="Q?"),
        Passage(source="system", text=" "),
    )
    evidence = Evidence(passages=passages, question="Q?")
    other = dataclasses.replace(session, provenance=dataclasses.replace(session.provenance, evidence=evidence))
    assert found(other)[0]["context"] == "A.\n\nB."


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn_sessions())
def test_a_response_is_the_models_own_segments(
    drawn: tuple[SessionRecord, list[InterruptionRecord], dict[str, Review]],
) -> None:
    session, _, reviews = drawn
    (choice,) = session.choices
    for row in found(session, reviews):
        known = [each for each in labelled("s", choice, reviews, unreviewed=True) if each.wrong is not None]
        said = "".join(each.segment.text for each in known if each.segment.channel == row["channel"])
        began = session.provenance.messages[-1]["role"] == "assistant"
        assert said.endswith(row["response"]) if began else said == row["response"]
        assert "GUARDED" not in row["response"]
        edges = [edge for span in row["spans"] for edge in (span["start"], span["end"])]
        assert edges == sorted(edges)
        assert all(0 <= span["start"] < span["end"] <= len(row["response"]) for span in row["spans"])
        assert row["hallucinated"] is bool(row["spans"])


def test_our_own_tools_read_the_rows(tmp_path: Path) -> None:
    session, _ = supervised([SAYS, GOES_ON], ["clean", "bad"])
    clean, _ = supervised([GOES_ON], session="t")
    file = tmp_path / "spans.jsonl"
    rows = [*found(session), *found(clean)]
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    (whole,) = read_files("grounded", [file])
    assert [(row.id, row.wrong, row.dataset) for row in whole.rows] == [
        ("s.0.content", True, "guard"),
        ("t.0.content", False, "guard"),
    ]
    assert [tuple(span) for span in whole.rows[0].spans] == [(10, 23)]
    assert [(answer.spans, answer.bad) for answer in read_folder(tmp_path)] == [([(10, 23)], True), ([], False)]
