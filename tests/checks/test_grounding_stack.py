"""The stack: what it makes of log odds, and which files it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checks.grounding import stack
from guard.errors import ConfigError

GOOD: dict[str, Any] = {
    "format": 1,
    "lexical": "abc",
    "inputs": ["lexical", "statement", "token_most", "token_mean"],
    "weights": [0.5, 2, -1.0, 0.25],
    "bias": -1.5,
    "ask_from": 0.05,
    "about": {"rows": 7},
}
ODDS = st.floats(-1e6, 1e6) | st.sampled_from([math.inf, -math.inf])


def written(folder: Path, document: Any) -> Path:
    path = folder / "stack.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def test_it_weighs_what_it_names(tmp_path: Path) -> None:
    found = stack.load(written(tmp_path, GOOD), "abc")
    by_hand = -1.5 + 0.5 * 0.3 + 2 * 1.2 - 1 * 4.0 + 0.25 * 2.0
    assert found.score(0.3, 1.2, [0.0, 4.0, 2.0]) == pytest.approx(1 / (1 + math.exp(-by_hand)))
    assert (found.ask_from, found.about) == (0.05, {"rows": 7})
    assert len(found.digest) == 64


def test_inputs_stand_in_the_order_they_are_named() -> None:
    assert stack.inputs(["token_mean", "lexical", "token_most", "statement"], 1, 2, [3, 5]) == [4, 1, 5, 2]


def test_without_tokens_the_statement_stands_for_them() -> None:
    assert stack.inputs(["token_most", "token_mean"], 1, 2, []) == [2, 2]


@given(ODDS, ODDS, st.lists(ODDS, max_size=5))
def test_any_log_odds_make_a_probability(lexical: float, statement: float, tokens: list[float]) -> None:
    assert 0 <= stack.alone.score(lexical, statement, tokens) <= 1
    assert all(abs(value) <= stack.MOST for value in stack.inputs(list(stack.INPUTS), lexical, statement, tokens))


@given(st.floats(-29, 29))
def test_alone_a_model_is_believed_as_it_is(log_odds: float) -> None:
    assert stack.alone.score(-3.0, log_odds, [1.0]) == pytest.approx(1 / (1 + math.exp(-log_odds)))


@pytest.mark.parametrize(
    "change",
    [
        "{",
        "[]",
        {"format": 2},
        {"lexical": 3},
        {"lexical": ""},
        {"inputs": []},
        {"inputs": "lexical"},
        {"inputs": ["lexical", "statement", "token_most", "token_most"]},
        {"inputs": ["lexical", "statement", "token_most", "age"]},
        {"inputs": [["lexical"], "statement", "token_most", "token_mean"]},
        {"weights": [1, 2, 3]},
        {"weights": [1, 2, 3, "4"]},
        {"weights": [1, 2, 3, float("nan")]},
        {"weights": [1, 2, 3, True]},
        {"bias": None},
        {"bias": float("inf")},
        {"ask_from": -0.1},
        {"ask_from": 1.5},
        {"about": []},
    ],
    ids=str,
)
def test_a_spoilt_stack_is_refused_in_one_line(tmp_path: Path, change: Any) -> None:
    path = written(tmp_path, change if isinstance(change, str) else GOOD | change)
    with pytest.raises(ConfigError, match=r"^the stack '.*stack\.json' is not valid: .+$"):
        stack.load(path, "abc")


@pytest.mark.parametrize("part", list(GOOD))
def test_every_part_is_needed(tmp_path: Path, part: str) -> None:
    with pytest.raises(ConfigError, match="is not valid"):
        stack.load(written(tmp_path, {name: value for name, value in GOOD.items() if name != part}), "abc")


def test_a_stack_for_other_trees_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fitted with the lexical model 'abc', not with 'def'"):
        stack.load(written(tmp_path, GOOD), "def")


def test_a_missing_stack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"stack\.json' cannot be read: No such file"):
        stack.load(tmp_path / "stack.json", "abc")
