"""The controls: what follows only length, position or anybody's context, measured beside the check at its own rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guard.evaluation.controls import by_length, by_position, same_length, strangers
from guard.evaluation.ranking import Ranking
from tests.evaluation.labelled import document, loaded, played, row, values, write

pytestmark = pytest.mark.usefixtures("installed")
LONG, SHORT = "aa bb. cc dd. ee ff. gg hh.", "aa bb. cc dd."


def places(text: str) -> list[tuple[int, int]]:
    return [(at, at + 6) for at in range(0, len(text), 7)]


def sample() -> list[Any]:
    """Three rows; two segments flagged, one interrupted."""
    scores = [(LONG, [0.0, 0.9, 0.0, 0.0]), (SHORT, [0.6, 0.0]), (LONG + " x.", [0.0, 0.0, 0.0, 0.0])]
    return [
        played(row(text, source=text), *((*place, score) for place, score in zip(places(text), found, strict=False)))
        for text, found in scores
    ]


def test_length_flags_the_longest_as_often_as_the_check_flagged() -> None:
    found = by_length(sample(), seed=0)
    assert [[s.flagged for s in each.segments].count(True) for each in found] == [0, 0, 2]
    assert [len(each.interruptions) for each in found] == [0, 0, 1]
    assert [each.score for each in found] == [0.5, 0.0, 1.0]
    assert by_length(sample(), seed=0) == found


def test_position_flags_what_comes_last() -> None:
    found = by_position(sample(), seed=0)
    assert [[s.flagged for s in each.segments] for each in found] == [
        [False, False, False, True],
        [False, False],
        [False, False, False, True],
    ]
    assert [each.score for each in found] == [1.0, pytest.approx(1 / 3), 1.0]


def test_a_stranger_gives_what_another_source_gave_of_nearest_length() -> None:
    rows = [row(str(n), source=context, context=context) for n, context in enumerate(["aaaa", "b", "cc", "ddddd", "b"])]
    mixed = strangers(rows, "grounded")
    assert mixed is not None
    assert [each.context for each in mixed] == ["ddddd", "cc", "b", "aaaa", "cc"]
    assert [(each.text, each.source) for each in mixed] == [(each.text, each.source) for each in rows]
    odd = strangers(rows[:3], "grounded")
    assert odd is not None
    assert [each.context for each in odd] == ["cc", "cc", "b"]
    assert strangers(rows[:1], "grounded") is None
    steps = strangers([row("1", source="p", question="p"), row("2", source="qq", question="qq")], "steps")
    assert steps is not None
    assert [each.question for each in steps] == ["qq", "p"]
    pairs = strangers([row("1", source="p", resample="x"), row("2", source="q", resample="yy")], "pairs")
    assert pairs is not None
    assert [each.resample for each in pairs] == ["yy", "x"]


def test_among_rows_of_one_length_length_tells_nothing() -> None:
    texts = ["a"] * 10 + ["a a a"] * 10
    rows = [played(row(text, wrong=at % 5 == 0 if at < 10 else at % 5 > 0)) for at, text in enumerate(texts)]
    lengths = Ranking([float(len(each.row.text)) for each in rows], [each.row.wrong for each in rows])
    assert lengths.auroc(np.ones(20)) == pytest.approx(0.8)
    assert lengths.auroc(same_length(rows)) == pytest.approx(0.5)
    one = [each for each in rows if each.row.wrong]
    assert same_length(one).tolist() == [1.0] * len(one)


def grounded(n: int, known: bool, filler: int = 0) -> dict[str, Any]:
    response = f"Fact {n} holds." if known else f"Fact {n} is made up."
    context = f"Fact {n} holds." + " More of it." * filler
    return {"id": n, "context": context, "question": "q?", "response": response, "hallucinated": not known}


def test_with_anothers_context_a_check_of_the_context_falls_to_chance(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", [grounded(n, known=n % 2 == 0) for n in range(20)])
    (result,) = document(loaded("reading"), "grounded", path, controls=True)["files"]
    assert set(result["controls"]) == {"length", "position", "shuffled", "same_length"}
    assert values(result)["auroc"] == 1.0
    shuffled = values(result["controls"]["shuffled"])
    assert (shuffled["auroc"], shuffled["recall"], shuffled["precision"]) == (0.5, 1.0, 0.5)
    assert not [note for note in result["notes"] if note.startswith("shuffled")]
    assert not [name for name in result["controls"]["length"]["figures"] if name.startswith("ms_")]


def test_a_check_that_looks_at_no_context_is_said_to(tmp_path: Path) -> None:
    rows = [grounded(n, known=n % 2 == 0) for n in range(8)]
    (result,) = document(loaded("shouting"), "grounded", write(tmp_path / "f.jsonl", rows), controls=True)["files"]
    assert "shuffled: the same scores with what another source gave; nothing here looks at it" in result["notes"]


def test_a_check_that_knows_without_the_context_is_said_to(tmp_path: Path) -> None:
    rows = [grounded(n, known=n % 2 == 0) | {"response": "it. BAD." if n % 2 else "it."} for n in range(20)]
    policy = loaded("shouting", "reading")
    (result,) = document(policy, "grounded", write(tmp_path / "f.jsonl", rows), controls=True)["files"]
    assert any(note.startswith("length alone: AUROC 1.000 [1.000, 1.000]") for note in result["notes"])


def test_a_check_that_keeps_its_skill_without_the_context_is_said_to(tmp_path: Path) -> None:
    """It reads the context, and also knows the answers by heart."""
    rows = [grounded(n, known=n % 2 == 0, filler=n) for n in range(20)]
    policy = loaded({"check": "phrase", "phrases": [{"text": "made up"}]}, "reading")
    (result,) = document(policy, "grounded", write(tmp_path / "f.jsonl", rows), controls=True)["files"]
    (note,) = [note for note in result["notes"] if note.startswith("shuffled")]
    assert "AUROC 1.000 [1.000, 1.000] with what another source gave; that much does not come from the context" in note


def test_one_source_has_no_strangers(tmp_path: Path) -> None:
    rows = [grounded(1, known=known) for known in (True, False)]
    (result,) = document(loaded("reading"), "grounded", write(tmp_path / "f.jsonl", rows), controls=True)["files"]
    assert set(result["controls"]) == {"length", "position", "same_length"}
