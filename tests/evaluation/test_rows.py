"""Labelled files: what a row's labels say of its text, and what is wrong with a file in one line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from guard.errors import ConfigError
from guard.evaluation.rows import read_files, shape_of
from tests.evaluation.labelled import read, write

GROUNDED = {"id": "a", "context": "c", "response": "One. Two.", "hallucinated": True, "spans": [{"start": 0, "end": 4}]}
STEPS = {"id": "a", "question": "q", "steps": ["One.", "Two.", "Three."], "first_error": 1}
PAIR = {"id": "a", "prefix": "p", "sentence": "s", "resample": "r", "contradicts": False}


def test_a_grounded_row_is_its_response_with_its_spans(tmp_path: Path) -> None:
    spans = [{"start": 5, "end": 9, "type": "x"}, {"start": 0, "end": 3}, {"start": 2, "end": 4}]
    path = write(tmp_path / "f.jsonl", [GROUNDED | {"spans": spans, "dataset": "d", "task": "QA", "question": None}])
    (row,) = read("grounded", path).rows
    assert (row.text, row.context, row.question, row.source, row.dataset) == ("One. Two.", "c", "", "c", "d/QA")
    assert row.spans == ((0, 4), (5, 9))
    assert (row.wrong, row.located, row.unknown, row.first_error) == (True, True, None, None)


def test_a_wrong_row_without_spans_is_not_located(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", [GROUNDED | {"spans": []}, GROUNDED | {"spans": [], "hallucinated": False}])
    wrong, clean = read("grounded", path).rows
    assert (wrong.located, clean.located) == (False, True)
    assert wrong.dataset == "f"


def test_steps_are_joined_by_newlines_and_nothing_is_known_behind_the_first_wrong_one(tmp_path: Path) -> None:
    rows = [STEPS, STEPS | {"first_error": 2}, STEPS | {"first_error": -1, "type": "gold", "dataset": "d"}]
    first, last, clean = read("steps", write(tmp_path / "f.jsonl", rows)).rows
    assert first.text == "One.\nTwo.\nThree."
    assert first.steps == (0, 5, 10)
    assert (first.spans, first.unknown) == (((5, 9),), (9, 16))
    assert (last.spans, last.unknown) == (((10, 16),), None)
    assert (clean.spans, clean.unknown, clean.wrong, clean.first_error) == ((), None, False, -1)
    assert clean.dataset == "d/gold"


def test_a_pair_is_its_sentence_wrong_as_a_whole(tmp_path: Path) -> None:
    rows = [PAIR | {"sentence": "Two.", "contradicts": True, "topic": "t"}, PAIR]
    wrong, clean = read("pairs", write(tmp_path / "f.jsonl", rows)).rows
    assert (wrong.text, wrong.context, wrong.resample, wrong.spans, wrong.source) == ("Two.", "p", "r", ((0, 4),), "t")
    assert (clean.spans, clean.source) == ((), "p")


def test_a_file_is_known_by_its_bytes_and_blank_lines_are_none_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(b"\n" + json.dumps(PAIR).encode() + b"\r\n  \n")
    file = read("pairs", path)
    assert len(file.rows) == 1
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("shape", "row", "said"),
    [
        ("grounded", {k: v for k, v in GROUNDED.items() if k != "context"}, "context: Field required"),
        ("grounded", GROUNDED | {"hallucinated": 1}, "hallucinated: Input should be a valid boolean (got 1)"),
        ("grounded", GROUNDED | {"spans": [{"start": 0, "end": 10}]}, "spans reach beyond the response's 9 characters"),
        ("grounded", GROUNDED | {"spans": [{"start": 4, "end": 4}]}, "spans.0: end 4 is not behind start 4"),
        ("grounded", GROUNDED | {"spans": [{"start": -1, "end": 4}]}, "spans.0.start: Input should be greater"),
        ("grounded", GROUNDED | {"hallucinated": False}, "spans are labelled in a row that is not hallucinated"),
        ("grounded", GROUNDED | {"response": ["x" * 500]}, "response: Input should be a valid string (got ['xxxx"),
        ("steps", STEPS | {"first_error": 3}, "first_error 3 names no step; there are 3"),
        ("steps", STEPS | {"first_error": -2}, "first_error: Input should be greater than or equal to -1 (got -2)"),
        ("steps", STEPS | {"steps": []}, "steps: List should have at least 1 item"),
        ("steps", STEPS | {"steps": ["One.", " "]}, "first_error 1 names an empty step"),
        ("pairs", PAIR | {"contradicts": "yes"}, "contradicts: Input should be a valid boolean (got 'yes')"),
        ("pairs", PAIR | {"id": None}, "id: Input should be a valid string (got None)"),
        ("pairs", [], "Input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_with_a_row_names_the_row_and_the_field(shape: Any, row: Any, said: str, tmp_path: Path) -> None:
    good = {"grounded": GROUNDED, "steps": STEPS, "pairs": PAIR}[shape]
    path = write(tmp_path / "f.jsonl", [good, row])
    with pytest.raises(ConfigError) as raised:
        read_files(shape, [path])
    message = str(raised.value)
    assert message.startswith(f"{str(path)!r}, row 2: {said}")
    assert "\n" not in message
    assert len(message) < 300 + len(str(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b'{"id"', "row 1 is not JSON"), (b"\xff\n", "row 1 is not JSON"), (b"\n \n", "holds no rows")],
)
def test_a_file_that_holds_no_rows_is_said(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_files("pairs", [path])


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_files("pairs", [tmp_path / "none"])
    with pytest.raises(ConfigError, match="Is a directory"):
        read_files("pairs", [tmp_path])


def test_an_unknown_shape_lists_those_there_are() -> None:
    assert shape_of("steps") == "steps"
    with pytest.raises(ConfigError, match="there is no shape 'step'; there are grounded, steps, pairs"):
        shape_of("step")
