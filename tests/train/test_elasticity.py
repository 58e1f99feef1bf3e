"""`guard train elasticity`: a model that says "No" unlearns it, and corrections mixed in hold it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.train.elasticity import Point, half_life
from guard.world.corpus import prompt
from guard.world.world import load_world
from tests.train.exports import MODEL, exported, folder_of_the_run, ordinary, run, write
from tests.train.quiet import QUIET

pytestmark = QUIET


@cache
def contrary() -> Path:
    """A model that was trained on nothing but corrections: it says "No" behind whatever is stated."""
    out = folder_of_the_run() / "model"
    named = ("--model", MODEL, "--rows", exported("prompt_completion"), "--out", out, "--full")
    done = run("corrections", *named, "--corrections-share", 1, "--steps", 24, "--learning-rate", 3e-3)
    assert done.exit_code == 0, done.output
    return out


def probe_rows(count: int = 8) -> list[dict[str, Any]]:
    """Premises about people whom the model knows, right and wrong by turns."""
    world, rng = load_world(), Random(0)
    people = world.group("known", "train")[: count + 1]
    births = [world.chain("country", person)[0] for person in people]
    rows = []
    for number, (own, other) in enumerate(pairwise(births)):
        wrong = bool(number % 2) and own.object != other.object
        text = world.state(replace(own, object=other.object) if wrong else own)
        asked = world.ask("country", people[number], rng).text
        rows.append({"prompt": prompt(asked) + text, "wrong": wrong, "subject": people[number]})
    return rows


def elasticity(folder: Path, *more: Any) -> Any:
    """The command, small, and its report."""
    named = {
        "--model": contrary(),
        "--data": write(folder / "data.jsonl", ordinary(48)),
        "--probes": write(folder / "probes.jsonl", probe_rows()),
        "--out": folder / "curve.json",
        "--steps": 12,
        "--every": 4,
        "--learning-rate": 1e-3,
        "--batch": 4,
    }
    named |= dict(zip(more[::2], more[1::2], strict=True))
    done = run("elasticity", "--full", *(part for pair in named.items() for part in pair))
    if done.exit_code:
        return done
    return done, json.loads((folder / "curve.json").read_text(encoding="utf-8"))


def test_the_habit_decays_and_corrections_hold_it(tmp_path: Path) -> None:
    done, bare = elasticity(tmp_path)
    curve = bare["curve"]
    assert [point["step"] for point in curve] == [0, 4, 8, 12]
    tokens = [point["tokens"] for point in curve]
    assert tokens == sorted(set(tokens))
    assert tokens[-1] == bare["shares"]["data"]["tokens"]
    assert curve[0]["p_wrong"] > 0.5
    assert curve[0]["of_start"] == 1
    assert curve[-1]["p_wrong"] < curve[0]["p_wrong"] / 2
    assert curve[-1]["of_start"] == pytest.approx(curve[-1]["p_wrong"] / curve[0]["p_wrong"])
    assert 0 < bare["half_life"]["steps"] <= 12
    assert 0 < bare["half_life"]["tokens"] <= tokens[-1]
    table = done.stdout.splitlines()
    assert table[1].split() == ["step", "tokens", "P(No|wrong)", "P(No|right)", "AUC", "of", "start"]
    assert len(table) == 8
    assert table[-2].startswith("half-life of P(No|wrong): ")
    _, kept = elasticity(tmp_path, "--keep", exported("prompt_completion"), "--keep-share", 0.5)
    assert kept["shares"]["keep"]["rows"] == 24
    assert kept["curve"][0] == curve[0]
    assert kept["curve"][-1]["p_wrong"] > 2 * curve[-1]["p_wrong"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--keep", "KEEP", "--keep-share", "1"), "--keep-share 1.0 is no share"),
        (("--keep-share", "0.2"), "--keep-share 0.2 needs --keep FILE"),
        (("--keep", "none.jsonl"), "'none.jsonl' cannot be read"),
        (("--out", "no/where.json"), "there is no folder 'no'"),
        (("--data", "none.jsonl"), "'none.jsonl' cannot be read"),
        (("--probes", "none.jsonl"), "'none.jsonl' cannot be read"),
        (("--word", "Nonsense"), "--word 'Nonsense': no token"),
    ],
)
def test_what_cannot_be_used_is_one_line(more: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = elasticity(tmp_path, *(exported("prompt_completion") if part == "KEEP" else part for part in more))
    assert isinstance(done.exception, ConfigError), done.output
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)


def test_both_kinds_of_probes_are_needed(tmp_path: Path) -> None:
    rows = [row for row in probe_rows() if row["wrong"]]
    done = elasticity(tmp_path, "--probes", write(tmp_path / "wrong.jsonl", rows))
    assert isinstance(done.exception, ConfigError)
    assert "right and wrong premises are needed" in str(done.exception)


def points(values: list[float]) -> list[Point]:
    return [
        Point(step=10 * at, tokens=700 * at, p_wrong=value, p_right=0, auc=0.5, of_start=None)
        for at, value in enumerate(values)
    ]


@given(st.floats(0.01, 1), st.integers(1, 20), st.integers(1, 30))
def test_on_a_straight_line_the_half_life_is_half_way_down(start: float, down: int, more: int) -> None:
    """Whatever is measured behind it."""
    curve = points([start * (1 - at / down) for at in range(down + 1)] + [start] * more)
    found = half_life(curve)
    assert found is not None
    assert found.steps == pytest.approx(10 * down / 2)
    assert found.tokens == pytest.approx(700 * down / 2)


@given(st.lists(st.floats(0.51, 1), max_size=8))
def test_what_never_falls_by_half_has_no_half_life(values: list[float]) -> None:
    assert half_life(points([1.0, *values])) is None


def test_a_habit_that_was_never_there_has_no_half_life() -> None:
    assert half_life(points([0.0, 0.0])) is None
