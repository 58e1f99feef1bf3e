"""Uncertainty: what counts as a name, what as unusual, and that nothing but standing text decides."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checks import Context, NotApplicable, Resources, Result
from guard.checks.uncertainty import plugin, stretches
from guard.core import events as ev
from guard.core.types import Evidence, Finding, Segment, Spelled, Token
from tests.test_relay import Run, Upstream, finished, opened

Said = list[tuple[str, float | None]]
PLAIN: Said = [("Ada", 0.1), (" was", 0.1), (" born", 0.1), (" in", 0.1)]


def spell(said: Said) -> Spelled:
    out, at = [], 0
    for text, surprise in said:
        out.append((at, Token(id=at, text=text, logprob=None if surprise is None else -surprise)))
        at += len(text)
    return tuple(out)


def segment(said: Said, id: int = 0) -> Segment:
    text = "".join(text for text, _ in said)
    return Segment(id=id, channel="content", start=100 * id, end=100 * id + len(text), text=text, attempt=0)


def examine(said: Said, before: list[Said] | None = None, memo: dict[str, Any] | None = None) -> Result:
    kept = [segment(each, id) for id, each in enumerate(before or [])]
    spellings = {id: spell(each) for id, each in enumerate([*(before or []), said])}
    context = Context(
        evidence=Evidence(),
        memo={} if memo is None else memo,
        standing=lambda: tuple(kept),
        tokens=lambda of: spellings[of.id],
    )
    return plugin(plugin.Params(), Resources()).examine(segment(said, len(kept)), context)


def score(said: Said, before: list[Said] | None = None) -> float:
    result = examine(said, before)
    assert isinstance(result, tuple)
    (found,) = result
    return found.score


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Ada Velm was born in Kargate.", ["Ada Velm", "Kargate"]),
        (" The river Brue has 12.5% of New South Wales, in 1998.", ["Brue", "12.5%", "New South Wales", "1998"]),
        ("- In Ostria people pay.", ["Ostria"]),
        ("The Amber Sea is fed by the Queen of Sheba", ["Amber Sea", "Queen of Sheba"]),
        ("In 1815, she left", ["1815"]),
        ("It holds. It does.", ["It"]),
        ("東京は大きい", []),
        ("Ägypten und Москва", ["Ägypten", "Москва"]),
    ],
)
def test_names_and_numbers(text: str, named: list[str]) -> None:
    assert [text[start:end] for start, end in stretches(text)] == named


def test_a_name_that_was_hardly_expected_is_unusual_and_pointed_at() -> None:
    said: Said = [*PLAIN, (" Kar", 6.0), ("gate", 0.1), (".", 0.1)]
    assert score(said) == pytest.approx(0.9787, abs=1e-3)
    assert examine(said) == (Finding(score=score(said), evidence="Kargate", start=16, end=23),)
    assert score([*PLAIN, (" Kar", 0.1), ("gate", 0.1)]) < 0.15


def test_the_first_token_of_a_name_counts_most() -> None:
    assert score([*PLAIN, (" Kar", 4.0), ("gate", 0.1)]) > score([*PLAIN, (" Kar", 0.1), ("gate", 4.0)]) + 0.1
    assert score([*PLAIN, (" Kar", 0.1), ("gate", 4.0)]) > score([*PLAIN, (" Kar", 0.1), ("gate", 0.1)]) + 0.1


def test_what_is_unusual_depends_on_what_the_answer_is_usually_written_with() -> None:
    wild: Said = [(f" word{i}", 4.0 * (i % 3)) for i in range(60)]
    calm: Said = [(f" word{i}", 0.05) for i in range(60)]
    said: Said = [*PLAIN, (" Kargate", 4.0)]
    assert score(said, [calm]) > score(said) > score(said, [wild])
    assert score(said, [wild]) < 0.3


def test_words_that_are_no_names_do_not_count() -> None:
    assert examine([("it", 9.0), (" is", 9.0)]) == ()
    assert score([("it", 0.1), (" is", 0.1), (" 12", 3.0), (" odd", 0.1)]) == score(
        [("it", 0.1), (" is", 0.1), (" 12", 3.0), (" odd", 19.0)]
    )


@pytest.mark.parametrize("said", [[], [("Ada", None), (" is", None)], [("Ada", math.nan)]])
def test_without_log_probabilities_it_cannot_say(said: Said) -> None:
    assert examine(said) == NotApplicable("no log-probs")


def test_minus_infinity_is_only_very_unusual() -> None:
    assert 0.99 < score([*PLAIN, (" Kargate", math.inf)]) == score([*PLAIN, (" Kargate", 9999.0)]) <= 1


SAID = st.lists(
    st.tuples(st.sampled_from(["Ada", " Velm", " in", " 18", "15", ".", " of", "\n"]), st.none() | st.floats(0, 40)),
    max_size=20,
)


@given(SAID, st.lists(SAID, max_size=4))
def test_scores_are_scores_places_lie_in_the_text_and_a_memo_changes_nothing(said: Said, before: list[Said]) -> None:
    result = examine(said, before)
    memo: dict[str, Any] = {}
    for number, each in enumerate(before):
        examine(each, before[:number], memo)
    assert examine(said, before, memo) == result
    if isinstance(result, tuple):
        for found in result:
            assert 0 <= found.score <= 1
            assert found.end is not None
            assert found.evidence == segment(said).text[found.start : found.end] != ""


@pytest.mark.parametrize("size", [1, 2, 99])
async def test_through_the_relay_however_the_upstream_cut(size: int) -> None:
    said: Said = [*PLAIN, (" Kar", 6.0), ("gate", 0.1), (".", 0.1), (" Ada", 0.1), (" left", 0.1), (".", 0.1)]
    tokens = [token for _, token in spell(said)]
    groups = [tuple(tokens[at : at + size]) for at in range(0, len(tokens), size)]
    deltas: list[Any] = [
        [(0, ev.Delta(0, "content", "".join(t.text for t in group), form="content", tokens=group))] for group in groups
    ]
    check: Any = plugin(plugin.Params(), Resources())
    uses = [{"check": "uncertainty", "flag_at": 0.5, "interrupt_at": None}]
    run = await Run(Upstream([opened(), *deltas, finished()]), {"uncertainty": check}, uses=uses).start()
    summary = run.finish().summary
    assert summary is not None
    assert [(v.status, [round(f.score, 3) for f in v.findings]) for v in summary.verdicts] == [
        ("flagged", [0.979]),
        ("clean", [0.101]),
    ]
