"""The fit of the resampling comparison, on pairs small enough to see what it must learn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from guard.checks.resampling.features import NAMES
from guard.train.resampling import fit, load, main, unseen


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Years that differ contradict, years that agree do not; ten topics."""
    rows = []
    for topic in range(10):
        for year in range(1900, 1904):
            said = f"The hall of town {topic} was built in {year}."
            other = f"The hall of town {topic} was built in {year + 20}, they say."
            same = f"The hall of town {topic} was built in {year}, they say."
            base = {"topic": f"t{topic}", "prefix": "", "sentence": said}
            rows += [base | {"resample": other, "contradicts": True}, base | {"resample": same, "contradicts": False}]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_what_tells_pairs_apart_is_learnt_and_carries_over_to_other_topics(pairs: Path) -> None:
    values, labels, topics = load(pairs)
    assert values.shape == (80, len(NAMES))
    weights, bias = fit(values, labels)
    assert weights[NAMES.index("year_changed")] > 0
    assert np.array_equal(values @ weights + bias > 0, labels)
    assert unseen(values, labels, topics) == [1.0] * 10


def test_the_weights_are_printed_as_a_module(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(pairs)
    printed = capsys.readouterr()
    assert "AUROC on unseen topics 1.0000" in printed.err
    module: dict[str, object] = {}
    exec(printed.out, module)
    assert list(module["WEIGHTS"]) == list(NAMES)  # type: ignore[call-overload]
    assert isinstance(module["BIAS"], float)
