"""Every figure against hand-counted rows, at any base rate, with intervals that a seed settles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.evaluation.counting import clean_tokens, delay_steps, delay_tokens, is_right
from guard.evaluation.figures import Sample, intervals
from guard.evaluation.judged import Played
from tests.evaluation.labelled import document, loaded, played, row, values, write

pytestmark = pytest.mark.usefixtures("installed")

#        0         1         2         3
TEXT = "aa bb. cc dd. ee ff. gg hh. ii jj."  # five segments of three tokens at 0, 7, 14, 21, 28
SEGMENTS = [(0, 6), (7, 13), (14, 20), (21, 27), (28, 34)]


def scored(scores: list[float], **fields: Any) -> Played:
    return played(row(TEXT, **fields), *((*place, score) for place, score in zip(SEGMENTS, scores, strict=True)))


def four() -> list[Played]:
    """A hit with an early interruption, a miss, a false alarm, a clean pass."""
    return [
        scored([0.9, 0.0, 0.6, 0.9, 0.0], wrong=True, spans=[(14, 20), (24, 30)], source="a"),
        scored([0.0, 0.3, 0.0, 0.0, 0.0], wrong=True, spans=[(10, 13)], source="b"),
        scored([0.0, 0.0, 0.7, 0.0, 0.0], source="b"),
        scored([0.0, 0.0, 0.0, 0.0, 0.0], source="c"),
    ]


def figures(rows: list[Played], base_rate: float | None = None) -> dict[str, float | None]:
    sample = Sample(rows)
    return sample.figures(sample.weights(base_rate))


def test_the_figures_of_a_few_rows_are_those_one_counts_by_hand() -> None:
    found = figures(four())
    assert {name: found[name] for name in found if "." not in name} == pytest.approx(
        {
            "example_f1": 2 * 1 / (2 + 2),
            "precision": 1 / 2,
            "recall": 1 / 2,
            "balanced_accuracy": 1 / 2,
            "auroc": 3 / 4,  # 0.9 and 0.3 against 0.7 and 0.0
            "best_f1_upper_bound": 4 / 5,  # at 0.3: both wrong rows and one clean one
            "always_flag_f1": 2 * 2 / (4 + 2),
            "span_f1": 2 * 9 / (24 + 15),  # flagged 6+6+6 and 6; labelled 6+6 and 3; shared 6+3
            "span_precision": 9 / 24,
            "span_recall": 9 / 15,
            "caught": 1 / 2,
            "exact_segment": 0.0,
            "early": 1 / 2,
            "delay_tokens_p50": 6.0,  # from "ee" to the full stop after "hh"
            "delay_tokens_p90": 6.0,
            "false_per_1000_clean_tokens": 1000 * 1 / (9 + 13 + 15 + 15),
            "clean_interrupted": 0.0,
            "interruption_precision": 1 / 2,
            "unscanned": 0.0,
            "not_applicable": 0.0,
            "ms_per_segment_p50": 1.0,
            "ms_per_segment_p99": 1.0,
        }
    )
    assert found["c.precision"] == pytest.approx(2 / 4)
    assert found["c.interruption_precision"] == pytest.approx(1 / 2)


def test_a_base_rate_weighs_the_wrong_rows_everywhere() -> None:
    found = figures(four(), 0.2)  # wrong rows weigh a quarter each: 0.5 of 2.5
    assert found["precision"] == pytest.approx(0.25 / 1.25)
    assert found["recall"] == pytest.approx(1 / 2)
    assert found["example_f1"] == pytest.approx(2 * 0.25 / (1.25 + 0.5))
    assert found["auroc"] == pytest.approx(3 / 4)
    assert found["best_f1_upper_bound"] == pytest.approx(2 * 0.25 / (0.25 + 0.5))
    assert found["false_per_1000_clean_tokens"] == pytest.approx(1000 * 0.25 / (22 * 0.25 + 30))
    assert found["span_precision"] == pytest.approx(9 * 0.25 / (18 * 0.25 + 6))


def test_a_base_rate_that_is_the_samples_own_changes_nothing() -> None:
    assert figures(four(), 0.5) == figures(four())


def test_a_base_rate_needs_both_labels() -> None:
    clean = [each for each in four() if not each.row.wrong]
    assert figures(clean, 0.2) == figures(clean)


def test_what_is_not_defined_is_none() -> None:
    found = figures([scored([0.0] * 5)])
    defined = {name for name, value in found.items() if value is not None and "ms_" not in name}
    assert defined == {"false_per_1000_clean_tokens", "clean_interrupted", "unscanned", "not_applicable"}
    assert {found[name] for name in defined} == {0.0}


def test_a_wrong_row_that_is_not_located_has_no_clean_text_and_no_place() -> None:
    one = scored([0.9, 0.0, 0.0, 0.0, 0.0], wrong=True)
    assert is_right(one.row, (0, 6)) is True
    assert clean_tokens(one.row) == 0
    assert delay_tokens(one) is None
    found = figures([one])
    assert (found["caught"], found["interruption_precision"]) == (1.0, 1.0)
    assert (found["exact_segment"], found["span_f1"], found["false_per_1000_clean_tokens"]) == (None, None, None)


def test_a_segment_that_ends_where_the_span_begins_is_early() -> None:
    one = scored([0.9, 0.0, 0.0, 0.0, 0.0], wrong=True, spans=[(6, 13)])
    found = figures([one])
    assert (found["early"], found["exact_segment"], delay_tokens(one)) == (1.0, 0.0, None)


def test_behind_the_first_wrong_step_nothing_is_right_or_false() -> None:
    steps = {"steps": (0, 7, 14, 21, 28), "first_error": 1, "spans": [(7, 13)], "unknown": (13, 34), "wrong": True}
    late = scored([0.0, 0.0, 0.0, 0.9, 0.9], **steps)
    assert [is_right(late.row, place) for place in SEGMENTS] == [False, True, None, None, None]
    assert clean_tokens(late.row) == 3
    assert (late.first_error, delay_steps(late), delay_tokens(late)) == (3, 2, 9)
    found = figures([late])
    assert (found["caught"], found["exact_segment"], found["early"]) == (1.0, 0.0, 0.0)
    assert (found["interruption_precision"], found["c.precision"], found["wrong_located"]) == (None, None, 0.0)
    hit = figures([scored([0.0, 0.9, 0.9, 0.0, 0.0], **steps)])
    assert (hit["wrong_located"], hit["exact_segment"], hit["delay_steps_p50"]) == (1.0, 1.0, 0.0)


def test_step_f1_is_the_harmonic_mean_of_both_accuracies() -> None:
    steps = {"steps": (0, 7, 14, 21, 28)}
    wrong = {**steps, "wrong": True, "first_error": 1, "spans": [(7, 13)], "unknown": (13, 34)}
    rows = [
        scored([0.0, 0.9, 0.0, 0.0, 0.0], **wrong),
        scored([0.9, 0.9, 0.0, 0.0, 0.0], **wrong),
        scored([0.0, 0.0, 0.0, 0.0, 0.0], **wrong),
        scored([0.0, 0.0, 0.0, 0.0, 0.0], **steps, first_error=-1),
        scored([0.0, 0.0, 0.0, 0.6, 0.0], **steps, first_error=-1),
    ]
    found = figures(rows)
    assert found["wrong_located"] == pytest.approx(1 / 3)
    assert found["clean_passed"] == pytest.approx(1 / 2)
    assert found["step_f1"] == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert found["location_accuracy"] == pytest.approx(2 / 5)
    assert "span_f1" not in found
    never = [scored([0.9] * 5, **wrong), scored([0.9] * 5, **steps, first_error=-1)]
    assert figures(never)["step_f1"] == 0.0


def test_a_perfect_check_has_perfect_figures_and_its_opposite_the_worst(tmp_path: Path) -> None:
    def labelled(wrong: str, right: str) -> list[dict[str, Any]]:
        rows = []
        for n in range(6):
            text = f"Fine {n}. {wrong} it. {right} it."
            start = text.index(wrong)
            spans = [{"start": start, "end": start + len(wrong)}] if n % 2 else []
            body = text if n % 2 else f"Fine {n}. {right} it."
            rows.append({"id": n, "context": f"c{n}", "response": body, "hallucinated": bool(spans), "spans": spans})
        return rows

    policy = loaded({"check": "phrase", "phrases": [{"regex": "wrong|odd"}]})
    (perfect,) = document(policy, "grounded", write(tmp_path / "p.jsonl", labelled("wrong", "right")))["files"]
    found = values(perfect)
    for name in ("example_f1", "precision", "recall", "balanced_accuracy", "auroc", "best_f1_upper_bound", "span_f1"):
        assert found[name] == 1.0
    for name in ("caught", "exact_segment", "interruption_precision"):
        assert found[name] == 1.0
    for name in ("early", "false_per_1000_clean_tokens", "clean_interrupted"):
        assert found[name] == 0.0
    assert found["delay_tokens_p50"] == 3.0
    assert {(f["low"], f["high"]) for name, f in perfect["figures"].items() if found[name] == 1.0} == {(1.0, 1.0)}
    mirrored = [
        {
            **each,
            "hallucinated": not each["hallucinated"],
            "spans": [] if each["hallucinated"] else [{"start": 0, "end": 4}],
        }
        for each in labelled("wrong", "right")
    ]
    (worst,) = document(policy, "grounded", write(tmp_path / "w.jsonl", mirrored))["files"]
    found = values(worst)
    for name in ("example_f1", "precision", "recall", "balanced_accuracy", "auroc", "span_f1", "caught"):
        assert found[name] == 0.0
    assert found["clean_interrupted"] == 1.0
    assert found["false_per_1000_clean_tokens"] == pytest.approx(1000 * 3 / (3 * 9 + 3 * 5))


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.6, 0.9]), st.sampled_from("abc")), min_size=1, max_size=8)
)
def test_any_weights_are_the_same_as_so_many_rows(rows: list[tuple[bool, float, str]]) -> None:
    made = [
        scored([0.0, score, 0.0, score, 0.0], wrong=wrong, spans=[(7, 13)] if wrong else [], source=source)
        for wrong, score, source in rows
    ]
    times = [at % 3 for at in range(len(made))]
    repeated = [each for each, n in zip(made, times, strict=True) for _ in range(n)]
    weighted = Sample(made).figures(np.array(times, dtype=np.float64))
    if repeated:
        assert weighted == pytest.approx(figures(repeated))


def test_intervals_are_settled_by_the_seed_and_hold_the_value() -> None:
    rows = [scored([0.0, 0.9 * (n % 3 == 0), 0, 0, 0], wrong=n % 2 == 0, source=str(n)) for n in range(40)]
    sample = Sample(rows)
    weights = sample.weights()
    first, again = (intervals(sample, weights, seed=1, resamples=50) for _ in range(2))
    assert first == again
    assert first != intervals(sample, weights, seed=2, resamples=50)
    value, (low, high) = sample.figures(weights)["recall"], first["recall"]
    assert value is not None
    assert low is not None
    assert high is not None
    assert low < value < high


def test_a_draw_has_as_many_sources_as_the_sample_some_of_them_often() -> None:
    rows = [scored([0.0] * 5, source=source) for source in "aabccc"]
    drawn = [weights.tolist() for weights in Sample(rows).draws(np.full(6, 0.5), 40, seed=0)]
    for a1, a2, b, c1, c2, c3 in drawn:
        assert (a1, c1, c1) == (a2, c2, c3)
        assert a1 + b + c1 == 0.5 * 3
    assert {each for weights in drawn for each in weights} == {0.0, 0.5, 1.0, 1.5}


def test_rows_of_one_source_are_drawn_together() -> None:
    """All rows share a source, or differ in nothing but it: only then is there something to draw."""
    rows = [scored([0.9, 0, 0, 0, 0], wrong=wrong, source="one") for wrong in (True, False)]
    assert set(intervals(Sample(rows), np.ones(2), seed=0, resamples=5).values()) == {(None, None)}
    paired = [scored([0.9, 0, 0, 0, 0], wrong=wrong, source=source) for source in "abcd" for wrong in (True, False)]
    assert intervals(Sample(paired), np.ones(8), seed=0, resamples=50)["precision"] == (0.5, 0.5)
