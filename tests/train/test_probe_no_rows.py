"""The rows of `guard train probe-no`: rendered up to the premise, from a file or from the log."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from guard.core.records import InterruptionRecord
from guard.errors import ConfigError
from guard.store import Database
from guard.train.probe_no_rows import Row, logged, probes, read_rows, rendered
from tests.backends.tiny_models import tokenizer
from tests.exporters.records import TEMPLATES, TOKENIZERS, record
from tests.train.test_probe_no import GOOD, MODEL, run


@pytest.fixture(scope="module")
def words() -> Any:
    return AutoTokenizer.from_pretrained(MODEL)


def test_a_turn_is_rendered_up_to_its_last_character(words: Any) -> None:
    asked = [{"role": "user", "content": "Where?"}]
    assert rendered(words, asked, " A. B.", "") == "<|user|>Where?<|end|><|assistant|><think> A. B."
    assert rendered(words, asked, "A.", "B.") == "<|user|>Where?<|end|><|assistant|><think>A.</think>B."
    tail = "<|im_start|>assistant\n<think>\n It is so."
    assert str(rendered(tokenizer(), asked, " It is so.", "")).endswith(tail)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_kind_of_template_leaves_the_turn_open(name: str) -> None:
    asked = [{"role": "user", "content": "Capital?"}]
    thinks = str(rendered(TOKENIZERS[name], asked, "It is Sydney.", ""))
    assert thinks.endswith("assistant\n<think>\nIt is Sydney.")
    says = str(rendered(TOKENIZERS[name], asked, "Hm.", "It is Sydney."))
    assert says.endswith("It is Sydney.")
    assert says.count("<think>") == says.count("</think>") == 1
    assert "Hm." in says


def test_a_system_prompt_stands_in_front(words: Any) -> None:
    row = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where?"}]}
    told = {**row, "reasoning": "A.", "wrong": True, "subject": "s"}
    (plain,) = probes([Row.model_validate(told)], words)
    (under,) = probes([Row.model_validate(told)], words, "Doubt yourself.")
    assert "Be brief." in plain.prompt
    assert "Doubt yourself.\n\nBe brief." in under.prompt
    with pytest.raises(ConfigError, match="row 1 is rendered already"):
        probes([Row(prompt="x", wrong=True, subject="s")], words, "Doubt yourself.")


def _reviewed(**changes: Any) -> InterruptionRecord:
    return record(review="confirmed", **changes)


def test_the_log_gives_the_claim_and_its_correction_in_its_place() -> None:
    skipped: Counter[str] = Counter()
    records = [_reviewed(), record(), _reviewed(correction=" "), _reviewed(channel="tool_calls")]
    wrong, right = logged(records, skipped)
    assert (wrong.wrong, right.wrong) == (True, False)
    assert wrong.reasoning == "They ask for the capital. It is Sydney."
    assert right.reasoning == "They ask for the capital. The capital is Canberra."
    assert wrong.subject == right.subject
    assert skipped == {"not confirmed": 1, "no correction": 1, "not a plain chat": 1}
    in_content = _reviewed(channel="content", kept={"reasoning": "Hm.", "content": "Well."})
    wrong, right = logged([in_content], skipped)
    assert (right.reasoning, right.content) == ("Hm.", "Well. The capital is Canberra.")


def test_the_log_is_probed_from_the_command_line(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'guard.db'}"
    log = Database(url)
    log.open()
    log.add_interruption(_reviewed())
    log.close()
    done = run(MODEL, "--store", url, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["rows"], report["plain"]["n_wrong"]) == (2, 1)
    saved = tmp_path / "rows.jsonl"
    alone = run("--store", url, "--save-rows", saved)
    assert alone.exit_code == 0, alone.output
    assert f"2 rows written: {saved}" in alone.stderr
    assert read_rows(saved) == list(logged([_reviewed()], Counter()))
    again = run(MODEL, "--rows", saved, "--json")
    assert json.loads(again.stdout) == report
    refused = run("--store", url, "--save-rows", saved)
    assert "is there already" in str(refused.exception)


@pytest.mark.parametrize(
    "arguments",
    [["--rows", "r.jsonl"], ["--store", "sqlite:///l.db", "--save-rows", "r.jsonl", "--baseline", "b.json"]],
)
def test_without_a_model_nothing_is_measured(arguments: list[str]) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, ConfigError)
    assert "name the MODEL to measure" in str(done.exception)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", "there are no premises in"),
        (GOOD + "\n{", "line 2 is not JSON"),
        (GOOD + '\n{"prompt": "x", "wrong": true}', "line 2: subject: Field required"),
        ('{"wrong": true, "subject": "s"}', "line 1: a row has `prompt`, or `messages`"),
        (
            '{"messages": [], "wrong": true, "subject": "s"}',
            "put it into `reasoning`, `content` or the end of `prompt`",
        ),
        (json.dumps({"prompt": "x " * 3000, "wrong": True, "subject": "s"}), "the model reads 1 to 2048"),
    ],
)
def test_rows_that_cannot_be_used_are_one_line(lines: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines, encoding="utf-8")
    done = run(MODEL, "--rows", path)
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)
