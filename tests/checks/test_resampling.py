"""Resampling without a network: what is compared, when the model is asked, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checks import Context, NotApplicable, Resources, Result
from guard.checks.resampling import REASON, plugin, sentences, states_a_fact
from guard.checks.resampling.compare import aggregate, compare
from guard.checks.resampling.features import NAMES, Pair, features
from guard.checks.resampling.reading import items_of, read
from guard.checks.resampling.weights import WEIGHTS
from guard.core.types import Channel, Evidence, Segment
from guard.errors import UpstreamError

CLAIM = "Ada Velm was born in Kargate in 1815."
SAME = "Ada Velm was born in Kargate in 1815. She became a painter."
OTHER = "Ada Velm was born in Brengate in 1822. She became a painter."
WORDS = st.sampled_from(
    [*'Ada Velm was not born built in Kargate 1815 20,000 the May and , . " ? ('.split(), "“", "é", "\n"]
)
TEXTS = st.text(max_size=60) | st.lists(WORDS, max_size=20).map(" ".join)


class Asked:
    """A policy model that is asked again; it says its answers in turn, over and over."""

    def __init__(self, *answers: str) -> None:
        self.answers = answers
        self.calls: list[tuple[Mapping[Channel, str], int, int]] = []

    async def __call__(self, prefix: Mapping[Channel, str], n: int, max_tokens: int) -> Sequence[str]:
        self.calls.append((prefix, n, max_tokens))
        return [self.answers[index % len(self.answers)] for index in range(n)]


def segment(text: str = CLAIM) -> Segment:
    return Segment(id=3, channel="content", start=5, end=5 + len(text), text=text, attempt=0)


def context(ask: Any) -> Context:
    return Context(evidence=Evidence(), ask=ask, preceding=lambda: {"reasoning": "Hm.", "content": "Well."})


async def examine(ask: Any, text: str = CLAIM, **params: Any) -> Result:
    return await plugin(plugin.Params(**params), Resources()).examine(segment(text), context(ask))


async def score(*answers: str, text: str = CLAIM) -> float:
    result = await examine(Asked(*answers), text)
    assert isinstance(result, tuple)
    (found,) = result
    assert (found.reason, found.correction, found.start, found.end) == (REASON, "", 0, None)
    return found.score


# What is compared


@pytest.mark.parametrize(
    ("sentence", "contradicts", "agrees"),
    [
        (
            "The stadium was built in 1992.",
            "The stadium was built in 1993.",
            "The stadium was built in 1992 and holds many.",
        ),
        ("He died in Vienna, Austria.", "He died in Boston, Massachusetts.", "He died in Vienna."),
        (
            "It has a capacity of 20,000 spectators.",
            "It has a capacity of 25,000 spectators.",
            "It has room for 20,000 spectators.",
        ),
        ("He was born on May 3, 1901.", "He was born on June 9, 1901.", "He was born on 3 May 1901."),
    ],
)
def test_another_name_number_or_date_in_its_place_weighs_more(sentence: str, contradicts: str, agrees: str) -> None:
    assert compare(sentence, contradicts, "") > compare(sentence, agrees, "")


def test_where_some_of_several_things_are_named_others_may_be() -> None:
    one = compare("She wrote the novel Dawn.", "She wrote the novel Dusk.", "")
    several = compare("She wrote several novels, including Dawn.", "She wrote several novels, including Dusk.", "")
    assert several < 0.5 < one


@given(TEXTS, TEXTS, TEXTS)
def test_a_comparison_is_a_number_from_0_to_1_whatever_is_compared(sentence: str, resample: str, before: str) -> None:
    assert 0 <= compare(sentence, resample, before) <= 1
    assert compare(sentence, sentence, before) == 0
    assert compare(sentence, resample, before) == compare(sentence, resample, before)


@given(TEXTS, TEXTS)
def test_each_feature_is_a_number_from_0_to_1(one: str, two: str) -> None:
    values = features(Pair(read(one), read(two), frozenset()))
    assert len(values) == len(NAMES)
    assert all(0 <= value <= 1 for value in values)


def test_every_feature_has_its_weight() -> None:
    assert set(WEIGHTS) == set(NAMES)


@given(TEXTS)
def test_case_and_spacing_between_words_do_not_count(text: str) -> None:
    assert items_of(text) == items_of(text.replace(" ", "   "))


@pytest.mark.parametrize(
    ("text", "hard"),
    [
        ("She met Ada Velm in May 1815.", {"ada", "velm", "may", "1815"}),
        ("Twelve men of the second army", {"12", "second"}),
        ("It may be so.", set()),
        ("It cost 20,000 crowns.", {"20000"}),
        ("So. Then it rained.", set()),
    ],
)
def test_names_numbers_and_dates_are_told_from_other_words(text: str, hard: set[str]) -> None:
    assert read(text).hard == hard


# Samples


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", []),
        (" \n", []),
        ("One two. Three four.", ["One two.", "Three four."]),
        (" One two. Three fo", ["One two."]),
        ("One tw", ["One tw"]),
        ("In 3.5 years. No", ["In 3.5 years."]),
    ],
)
def test_a_sample_is_its_whole_sentences(text: str, said: list[str]) -> None:
    assert sentences(text) == said


@given(TEXTS)
def test_sentences_are_parts_of_the_sample(text: str) -> None:
    assert all(sentence in text and sentence.strip() == sentence for sentence in sentences(text))


def test_a_sample_about_something_else_is_no_contradiction() -> None:
    assert aggregate(CLAIM, [["Bread is baked from flour."], []], "") == 0
    assert aggregate(CLAIM, [], "") == 0


def test_the_sentence_about_the_same_thing_is_the_one_compared() -> None:
    moved = ["Her life is well known.", "Ada Velm was born in Brengate in 1822."]
    assert aggregate(CLAIM, [moved], "") == compare(CLAIM, moved[1], "") > 0.5


async def test_agreement_scores_low_and_difference_high() -> None:
    assert await score(SAME) == 0
    assert await score(OTHER) > 0.7
    assert 0 < await score(SAME, OTHER, SAME) < await score(SAME, OTHER, OTHER) < await score(OTHER)


# When it is asked


@pytest.mark.parametrize(
    "text",
    [
        "Was Ada Velm born in Kargate in 1815?",
        "Perhaps Ada Velm was born in Kargate.",
        "I think Ada Velm was born in Kargate.",
        "If Ada Velm was born in Kargate in 1815, she was Ostrian.",
        "Let me check where Ada Velm was born.",
        "I will look at Kargate next.",
        "It is a nice day.",
        "Sure, Ada!",
        "```python\nborn = 1815\n```",
        "    return ada.born in Kargate",
        "total = count(Kargate);",
    ],
)
async def test_questions_hedges_plans_and_code_are_never_resampled(text: str) -> None:
    model = Asked(OTHER)
    assert not states_a_fact(text)
    assert await examine(model, text) == NotApplicable("no claim")
    assert model.calls == []


async def test_where_the_policy_model_cannot_be_asked_it_says_so() -> None:
    assert await examine(None) == NotApplicable("the policy model cannot be asked")


async def test_it_asks_from_before_the_claim_as_told() -> None:
    model = Asked(OTHER)
    await examine(model, samples=5, max_tokens=32)
    assert model.calls == [({"reasoning": "Hm.", "content": "Well."}, 5, 32)]


async def test_a_claim_is_resampled_once_in_a_turn() -> None:
    model = Asked(OTHER)
    check, once = plugin(plugin.Params(), Resources()), context(model)
    first = await check.examine(segment(), once)
    assert await check.examine(segment(f"  {CLAIM.upper()}"), once) == first
    assert len(model.calls) == 1
    await check.examine(segment(CLAIM.replace("1815", "1816")), once)
    assert len(model.calls) == 2


async def test_a_failure_is_not_remembered_as_an_answer() -> None:
    async def fails(*_: Any) -> Sequence[str]:
        raise UpstreamError("gone")

    check, memo = plugin(plugin.Params(), Resources()), dict[str, Any]()
    with pytest.raises(UpstreamError):
        await check.examine(segment(), Context(evidence=Evidence(), ask=fails, memo=memo))
    assert memo == {}


def test_it_offers_its_comparison_for_measuring() -> None:
    check = plugin(plugin.Params(), Resources())
    assert check.compare(CLAIM, OTHER, "Before.") == compare(CLAIM, OTHER, "Before.") > 0.5
