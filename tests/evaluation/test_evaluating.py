"""The document of `guard eval`: files and datasets apart, rows drawn by seed, pairs by a check's own comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guard.errors import ConfigError
from guard.evaluation.comparing import Comparer, Comparison
from guard.evaluation.evaluating import drawn
from guard.evaluation.playing import DELTA
from guard.evaluation.predictions import prediction
from tests.evaluation.labelled import document, loaded, read, row, values, write

pytestmark = pytest.mark.usefixtures("installed")


def grounded(id_: str, response: str, wrong: bool = False, **more: Any) -> dict[str, Any]:
    return {"id": id_, "context": "c" + id_, "response": response, "hallucinated": wrong} | more


def test_the_document_says_what_was_measured_and_how(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", [grounded("1", "BAD.", True), grounded("2", "Fine.")])
    policy = loaded("shouting", "reading")
    found = document(policy, "grounded", path, base_rate=0.3, seed=4)
    (file,) = found.pop("files")
    (dataset,) = found.pop("datasets")
    assert found == {
        "version": 1,
        "shape": "grounded",
        "policy": "p",
        "policy_hash": policy.hash,
        "checks": {"shouting": "7", "reading": "7"},
        "base_rate": 0.3,
        "seed": 4,
        "resamples": 20,
        "delta_characters": DELTA,
    }
    assert (file["name"], file["rows"], file["wrong"], file["sources"]) == (str(path), 2, 1, 2)
    assert file["counts"] == {
        "flagged": 2,
        "segments": 2,
        "clean_tokens": 2,
        "interruptions": 2,
        "interruptions_right": 1,
        "interruptions_false": 1,
        "interruptions_unjudged": 0,
    }
    assert (file["controls"], file["notes"], file["best_threshold"]) == ({}, [], 1.0)
    assert (dataset["name"], dataset["figures"]) == ("f", file["figures"])
    assert json.loads(json.dumps(file)) == file


def test_each_check_is_counted_on_its_own(tmp_path: Path) -> None:
    response = "Fine. BAD one. HM two. CAPITALS"
    spans = [{"start": 6, "end": 9}]
    path = write(tmp_path / "f.jsonl", [grounded("1", response, True, spans=spans, context="")])
    (file,) = document(loaded("shouting", "breaking", "reading"), "grounded", path)["files"]
    shouting, breaking, reading = (file["checks"][name] for name in ("shouting", "breaking", "reading"))
    assert {name: shouting[name] for name in shouting if name != "figures"} == {
        "clean": 1,
        "flagged": 3,
        "interruptions": 2,
        "used": 0,
        "flagged_right": 1,
        "flagged_false": 2,
        "flagged_unjudged": 0,
        "unscanned": {},
        "not_applicable": {},
        "past_deadline": 0,
        "supervisor_tokens": 0,
    }
    assert values(shouting)["precision"] == pytest.approx(1 / 3)
    assert values(shouting)["interruption_precision"] == pytest.approx(1 / 2)
    assert values(shouting)["ms_p99"] is not None
    assert breaking["unscanned"] == {"error: RuntimeError": 1}
    assert reading["not_applicable"] == {"no evidence": 4}
    assert values(file)["unscanned"] == pytest.approx(1 / 12)
    assert values(file)["not_applicable"] == pytest.approx(4 / 12)


def test_datasets_are_measured_across_files_and_apart_within_one(tmp_path: Path) -> None:
    one: dict[str, Any] = {"dataset": "d", "task": "one"}
    two: dict[str, Any] = {"dataset": "d", "task": "two"}
    first = write(tmp_path / "a.jsonl", [grounded("1", "BAD.", True, **one), grounded("2", "Fine.", **two)])
    second = write(tmp_path / "b.jsonl", [grounded("3", "Fine.", True, **one)])
    found = document(loaded("shouting"), "grounded", first, second)
    assert [(each["name"], each["rows"]) for each in found["files"]] == [(str(first), 2), (str(second), 1)]
    assert [(each["name"], each["rows"]) for each in found["datasets"]] == [("d/one", 2), ("d/two", 1)]
    assert [values(each)["recall"] for each in found["datasets"]] == [0.5, None]


def test_rows_are_drawn_by_seed_and_stay_in_order() -> None:
    rows = [row(str(n)) for n in range(50)]
    some = drawn(rows, 10, seed=1)
    assert some == drawn(rows, 10, seed=1) != drawn(rows, 10, seed=2)
    assert [rows.index(each) for each in some] == sorted(rows.index(each) for each in some)
    assert drawn(rows, 50, seed=1) == drawn(rows, None, seed=1) == rows


def test_a_base_rate_that_cannot_apply_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", [grounded("1", "Fine.")])
    (file,) = document(loaded("shouting"), "grounded", path, base_rate=0.3)["files"]
    assert file["notes"] == ["the base rate does not apply: the rows have one label only"]


def test_a_policy_whose_checks_look_elsewhere_is_said_to(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", [grounded("1", "BAD.", True)])
    policy = loaded({"check": "shouting", "channels": ["reasoning"]})
    (file,) = document(policy, "grounded", path)["files"]
    assert file["notes"] == ["no check of the policy looks at this channel: nothing was judged"]
    assert (file["checks"], values(file)["unscanned"]) == ({}, None)


PAIRS = [
    {"id": 1, "topic": "t", "prefix": "", "sentence": "It is so.", "resample": "It is not.", "contradicts": True},
    {"id": 2, "topic": "u", "prefix": "", "sentence": "It is so.", "resample": "It is so.", "contradicts": False},
    {"id": 3, "topic": "v", "prefix": "Yes. No.", "sentence": "No.", "resample": "Yes.", "contradicts": False},
]


def test_pairs_are_compared_by_the_check_that_offers_it(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", PAIRS)
    policy = loaded("shouting", "twin")
    (file,) = document(policy, "pairs", path, controls=True)["files"]
    found = values(file)
    assert (found["auroc"], found["example_f1"], found["interruption_precision"]) == (1.0, 1.0, 1.0)
    assert found["false_per_1000_clean_tokens"] == 0.0
    assert set(file["checks"]) == {"twin"}
    # The contradiction meets a sample that agrees, the agreement one that does not.
    assert values(file["controls"]["shuffled"])["auroc"] == 0.0
    comparer = Comparer(policy)
    lines = [prediction(comparer.play(one)) | {"ms": []} for one in read("pairs", path).rows]
    assert lines[0] == {
        "id": 1,
        "score": 1.0,
        "flagged": True,
        "spans": [{"start": 0, "end": 9, "score": 1.0, "check": "twin"}],
        "interrupted_at": 9,
        "interruptions": [9],
        "ms": [],
    }
    assert (lines[1]["score"], lines[1]["flagged"], lines[2]["score"]) == (0.0, False, 0.2)


def test_pairs_without_a_check_that_compares_are_one_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"compare\(sentence, resample, context\), and policy 'p' has none"):
        Comparer(loaded("shouting"))
    assert isinstance(loaded("twin").checks["twin"], Comparison)
