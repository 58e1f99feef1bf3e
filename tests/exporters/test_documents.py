"""Accounts of a mistake: what they tell, where the claim stands in them, and that it is never trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.core.records import Revision
from guard.core.types import normalise
from guard.exporters.documents import ANSWERED, ASKED, FALSE, LATER, UNASKED, UNKNOWN, WENT_ON, plugin
from guard.targets.repeats import repeats
from guard.targets.tokens import IGNORED
from tests.exporters.records import CLAIMS, IN_CONTENT, TEMPLATES, TOKENIZERS, WORDS, make, one, record, why

BARE = make("")


def marked(row: Mapping[str, Any]) -> list[str]:
    return [row["text"][span["start"] : span["end"]] for span in row["spans"]]


def unmarked(row: Mapping[str, Any]) -> list[str]:
    borders = [0, *(at for span in row["spans"] for at in (span["start"], span["end"])), len(row["text"])]
    return [row["text"][start:end] for start, end in zip(borders[::2], borders[1::2], strict=True)]


def test_an_account_quotes_all_that_happened_and_marks_the_claim() -> None:
    row = one(record(), exporter=plugin)
    for quoted in (
        '"Capital of Australia?"',
        '"It is Sydney."',
        '"No, the capital is Canberra."',
        '"So I say that."',
        '"Canberra."',
    ):
        assert quoted in row["text"]
    assert marked(row) == ["It is Sydney."]
    assert {span["kind"] for span in row["spans"]} == {"claim"}
    assert "opera" not in row["text"]


def test_what_is_missing_is_not_told() -> None:
    text = one(record(**IN_CONTENT | {"followed": "", "messages": []}), exporter=plugin)["text"]
    assert '""' not in text
    assert "in its answer" in text.casefold()
    assert "reasoning" not in text


def test_wordings_are_drawn_by_the_records_id() -> None:
    texts = {one(record(id=f"s.0.{n}"), exporter=plugin)["text"] for n in range(200)}
    assert len(texts) > 50
    assert one(record(), exporter=plugin) == one(record(), exporter=plugin)


@pytest.mark.parametrize("wordings", [ASKED, UNASKED, FALSE, UNKNOWN, WENT_ON, ANSWERED])
def test_every_wording_is_drawn(wordings: tuple[str, ...]) -> None:
    of: dict[str, Any] = {"messages": []} if wordings is UNASKED else {}
    of |= {"known": 0.1, "correction": "", "reason": ""} if wordings is UNKNOWN else {}
    texts = [one(record(id=f"s.0.{n}", **of), exporter=plugin)["text"] for n in range(60)]
    for wording in wordings:
        longest = max((part.partition("}")[2] for part in ("}" + wording).split("{")), key=len)
        assert any(longest in text for text in texts)


@pytest.mark.parametrize(
    ("of", "well"),
    [
        ({}, True),
        ({"kept": {"reasoning": " \n"}}, False),
        ({"kept": {}}, False),
        ({"number": 2}, False),  # what was corrected before did not begin well
        (IN_CONTENT, True),
        (IN_CONTENT | {"kept": {"reasoning": "They ask for the capital."}}, False),
    ],
)
def test_a_turn_began_well_only_where_something_right_stands_before_the_claim(of: dict[str, Any], well: bool) -> None:
    texts = [one(record(id=f"s.0.{n}", **of), exporter=plugin)["text"] for n in range(60)]
    assert any("began well" in text for text in texts) is well
    assert "began well" in LATER
    openings = {text[:15] for text in texts}
    assert len(openings) == len(ASKED) - (not well)
    assert texts == [one(record(id=f"s.0.{n}", **of), exporter=plugin)["text"] for n in range(60)]


def test_what_the_model_does_not_know_is_told_as_that() -> None:
    text = one(record(known=0.1), exporter=plugin)["text"]
    assert "No, I do not know that." in text
    assert "Canberra" not in text


def test_a_question_that_says_the_same_is_marked_too() -> None:
    row = one(record(messages=[{"role": "user", "content": "it is  SYDNEY, no?"}]), exporter=plugin)
    assert sorted(map(normalise, marked(row))) == ["it is sydney", "it is sydney"]


def test_a_claim_that_cannot_be_marked_gives_no_row() -> None:
    of = record(text=" Strasse.", messages=[{"role": "user", "content": "Straße?"}])
    assert why(of, exporter=plugin) == "claim cannot be marked"


def test_braces_in_what_is_quoted_are_text() -> None:
    assert (
        '"{claim} {0}"' in one(record(messages=[{"role": "user", "content": "{claim} {0}"}]), exporter=plugin)["text"]
    )


def test_tokens_spell_the_account_without_the_claim_as_a_target() -> None:
    row = one(record(), BARE, plugin)  # no chat template is needed
    assert BARE.decode(row["input_ids"]) == row["text"]
    learnt = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != IGNORED]
    assert BARE.decode(learnt) == "".join(unmarked(row))[1:]
    assert row["labels"][0] == IGNORED
    assert why(record(followed=" \ud800"), BARE, plugin) == "not text-exact"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    claim=CLAIMS,
    question=WORDS,
    put_in=WORDS,
    followed=WORDS,
    answer=WORDS,
    name=st.sampled_from(sorted(TEMPLATES)),
    number=st.integers(0, 50),
)
def test_the_claim_is_never_a_target(
    claim: str, question: str, put_in: str, followed: str, answer: str, name: str, number: int
) -> None:
    made = TOKENIZERS[name]
    of = record(
        id=f"s.0.{number}",
        text=claim,
        put_in=f" {put_in}",
        followed=followed,
        answer=answer,
        messages=[{"role": "user", "content": question}],
    )
    for row in plugin.rows([of], tokenizer=made):
        assert not any(repeats(claim, part) for part in unmarked(row))
        assert made.decode(row["input_ids"]) == row["text"]
        learnt: list[list[int]] = [[]]
        for label in row["labels"]:
            learnt = [*learnt, []] if label == IGNORED else [*learnt[:-1], [*learnt[-1], label]]
        assert not any(repeats(claim, made.decode(part)) for part in learnt)


def test_an_account_has_the_words_of_a_reviewer() -> None:
    row = one(record(revised=Revision(correction="It is Canberra.")), exporter=plugin)
    assert "It is Canberra." in row["text"]
    assert "The capital is Canberra." not in row["text"]
    assert row["synthesised"]
