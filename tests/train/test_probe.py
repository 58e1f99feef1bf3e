"""`guard train probe`: from labelled rows to a served score, on models made in code."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from guard.backends.transformers import plugin as backend_of
from guard.backends.transformers.backend import LocalOptions
from guard.backends.transformers.head import read
from guard.backends.transformers.model import load
from guard.checks import Context, Resources
from guard.checks.probe import plugin as check_of
from guard.cli import app
from guard.core.types import Evidence, Segment, Spelled
from guard.errors import ConfigError
from guard.train.probe_fit import auroc, calibrate, fit, held_out
from guard.train.probe_rows import read_rows
from guard.train.probe_score import figures, statements
from guard.train.probe_states import Answer, Spelling, read_states
from tests.backends.tiny_models import collect, deltas, request, tiny, tokenizer

WORDS = "The river runs through the city where she was born".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    tiny("qwen3").save_pretrained(path)
    tokenizer().save_pretrained(path)
    return path


def row(rng: random.Random, number: int) -> dict[str, Any]:
    """What follows "that" is made up: the state behind "that" is another than behind other words."""
    said, spans = "", []
    for _ in range(4):
        for word in rng.sample(WORDS, 4):
            said += f" {word}"
        if rng.random() < 0.5:
            said += " that"
            spans.append({"start": len(said), "end": len(said) + 5, "type": "made"})
            said += " city"
        said += "."
    return {"id": number, "question": f"Where is {number}?", "context": "", "response": said[1:], "spans": spans}


def moved(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "spans": [{**span, "start": span["start"] - 1, "end": span["end"] - 1} for span in one["spans"]]}


def write_rows(path: Path, count: int = 40) -> Path:
    rng = random.Random(1)
    path.write_text("".join(json.dumps(moved(row(rng, number))) + "\n" for number in range(count)), encoding="utf-8")
    return path


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["train", "probe", *map(str, arguments)])


async def test_a_probe_is_trained_served_and_tells_what_is_made_up(folder: Path, tmp_path: Path) -> None:
    spans, out = write_rows(tmp_path / "rows.jsonl"), tmp_path / "p.safetensors"
    done = run("--model", folder, "--spans", spans, "--out", out, "--layer", 1, "--folds", 3)
    assert done.exit_code == 0, done.output
    assert "40 answers of 40 sources" in done.stdout
    assert "layer 1" in done.stdout
    told = [
        float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith(("  tokens", "  statements"))
    ]
    assert min(told) > 0.9
    local = backend_of(LocalOptions(model=str(folder), reasoning="none", probe=str(out)))
    await local.start()
    turn = local.begin(request(max_tokens=40, temperature=1.0, seed=2))
    said = [token for delta in deltas(await collect(turn)) for token in delta.tokens]
    await turn.close()
    await local.close()
    assert said
    assert all(token.probe is not None and 0 <= token.probe <= 1 for token in said)


def test_the_check_ranks_made_up_statements_first(folder: Path, tmp_path: Path) -> None:
    spans, out = write_rows(tmp_path / "rows.jsonl"), tmp_path / "p.safetensors"
    assert run("--model", folder, "--spans", spans, "--out", out, "--layer", 1).exit_code == 0
    model, words = load(str(folder), tokenizer=None, dtype="auto", device="cpu", hidden=False)
    head, spelling = read(out, model), Spelling(words, model.positions)
    rng = random.Random(99)
    (text,) = [spelling.text(one) for one in read_rows([_one(tmp_path, moved(row(rng, 1000)))])]
    assert text is not None
    (answer,) = read_states(model, [text], 1, lambda done: None)
    scored = [(_score(answer, s.first, s.last, head), s.made_up) for s in statements(answer)]
    assert {made_up for _, made_up in scored} == {True, False}
    assert auroc([score for score, _ in scored], [made_up for _, made_up in scored]) == 1


def _one(folder: Path, told: dict[str, Any]) -> Path:
    path = folder / "one.jsonl"
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


def _score(answer: Answer, first: int, last: int, head: Any) -> float:
    from guard.core.types import Token

    start = answer.places[first][0]
    told: Spelled = tuple(
        (left - start, Token(id=0, text=answer.row.text[left:right], probe=head(state)))
        for (left, right), state in list(zip(answer.places, answer.states, strict=True))[first:last]
    )
    text = answer.row.text[start : answer.places[last - 1][1]]
    segment = Segment(id=0, channel="content", start=0, end=len(text), text=text, attempt=0)
    check = check_of(check_of.Params(), Resources())
    result = check.examine(segment, Context(evidence=Evidence(), tokens=lambda of: told))
    assert isinstance(result, tuple)
    return result[0].score


def test_the_states_of_an_answer_are_those_before_each_token(folder: Path, tmp_path: Path) -> None:
    model, words = load(str(folder), tokenizer=None, dtype="auto", device="cpu", hidden=False)
    rows = read_rows([write_rows(tmp_path / "rows.jsonl", 7)])
    texts = [text for one in rows if (text := Spelling(words, 1024).text(one))]
    answers = read_states(model, texts, 2, lambda done: None)
    for text, answer in zip(texts, answers, strict=True):
        assert answer.row is text.row
        assert "".join(text.row.text[start:end] for start, end in text.places) == text.row.text
        with torch.inference_mode():
            alone = model.states([(*text.prompt, *text.answer)], 2)[0]
        assert torch.allclose(answer.states, alone[len(text.prompt) - 1 : -1], atol=1e-5)


def test_a_row_that_is_too_long_or_empty_is_left_out(folder: Path, tmp_path: Path) -> None:
    _, words = load(str(folder), tokenizer=None, dtype="auto", device="cpu", hidden=False)
    (one,) = read_rows([_one(tmp_path, {"text": "The city", "spans": [{"start": 0, "end": 3}]})])
    assert Spelling(words, 1024).text(one) is not None
    assert Spelling(words, 5).text(one) is None


def test_without_a_chat_template_the_parts_are_read_as_one_text(folder: Path, tmp_path: Path) -> None:
    _, words = load(str(folder), tokenizer=None, dtype="auto", device="cpu", hidden=False)
    words.chat_template = None
    told = {"context": "A.", "question": "B?", "text": "city", "spans": [{"start": 0, "end": 3}]}
    text = Spelling(words, None).text(read_rows([_one(tmp_path, told)])[0])
    assert text is not None
    assert words.decode(text.prompt) == "A.\n\nB?\n\n"


GOOD = '{"text": "abc", "spans": [{"start": 0, "end": 2}]}\n'


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", "there are no rows"),
        ('{"text": "abc", "spans": []}\n', "no row has a span"),
        (GOOD + "{", "line 2 is not JSON"),
        (GOOD + '\n{"spans": []}', "line 3: a row needs `response` or `text`"),
        (GOOD + '{"text": "abc"}', "line 2: spans: Field required"),
        ('{"text": "abc", "spans": [{"start": 2, "end": 4}]}', "span 2..4 is not inside a text of 3 characters"),
        ('{"text": "abc", "spans": [{"start": 2, "end": 2}]}', "span 2..2 is not inside"),
        (GOOD * 9, "sources: 1; too few"),
        ("[1]\n", "line 1"),
    ],
)
def test_rows_that_cannot_be_used_are_one_line(lines: str, says: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines, encoding="utf-8")
    done = run("--model", folder, "--spans", path, "--out", tmp_path / "p.safetensors")
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "p.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--spans", "none.jsonl"], "'none.jsonl' cannot be read"),
        (["--layer", "3"], "--layer 3: this model has 0 (the embedding) to 2"),
        (["--layer", "-1"], "--layer -1: this model has 0"),
        (["--out", "none/p.safetensors"], "there is no folder 'none'"),
        (["--model", "./none"], "model './none' cannot be loaded"),
    ],
)
def test_what_cannot_be_used_is_one_line(arguments: list[str], says: str, folder: Path, tmp_path: Path) -> None:
    named = {"--model": folder, "--spans": write_rows(tmp_path / "r.jsonl", 4), "--out": tmp_path / "p.safetensors"}
    told = [part for pair in ({**named, arguments[0]: arguments[1]}).items() for part in pair]
    done = run(*told)
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)


def test_labels_without_a_pattern_are_no_better_than_chance() -> None:
    rng = np.random.default_rng(0)
    states = torch.from_numpy(rng.normal(size=(3000, 8)))
    labels, folds = torch.from_numpy(rng.random(3000) < 0.3), torch.from_numpy(rng.integers(0, 5, 3000))
    assert 0.44 < auroc(held_out(states, labels, folds, lambda: None), labels.numpy()) < 0.56


def test_a_fit_finds_the_weights_and_calibrates() -> None:
    rng = np.random.default_rng(0)
    states = torch.from_numpy(rng.normal(3.0, 2.0, size=(20_000, 3)))
    z = (states - 3) / 2 @ torch.tensor([2.0, -1.0, 0.0], dtype=torch.float64) - 1
    labels = torch.from_numpy(rng.random(20_000)) < torch.sigmoid(z)
    found = fit(states, labels, penalty=1e-6)
    assert found.weights.tolist() == pytest.approx([2.0, -1.0, 0.0], abs=0.1)
    assert found.bias == pytest.approx(-1.0, abs=0.1)
    assert calibrate(found(states) * 4 + 3, labels) == pytest.approx((0.25, -0.75), abs=0.02)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30))
def test_auroc_counts_pairs(scored: list[tuple[int, bool]]) -> None:
    bad = [score for score, made_up in scored if made_up]
    good = [score for score, made_up in scored if not made_up]
    found = auroc([score for score, _ in scored], [made_up for _, made_up in scored])
    if not bad or not good:
        assert np.isnan(found)
    else:
        pairs = [(one > other) + (one == other) / 2 for one in bad for other in good]
        assert found == pytest.approx(sum(pairs) / len(pairs))


def test_what_place_alone_tells_is_taken_out(folder: Path, tmp_path: Path) -> None:
    """A score that only knows the place is good, and at chance against statements of the same place."""
    model, words = load(str(folder), tokenizer=None, dtype="auto", device="cpu", hidden=False)
    told = [
        {
            "text": "The city was born. The river runs.",
            "question": str(i),
            "spans": [{"start": 0, "end": 3}] * (i % 3 > 0),
        }
        for i in range(6)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, told)), encoding="utf-8")
    texts = [text for one in read_rows([path]) if (text := Spelling(words, 1024).text(one))]
    answers = read_states(model, texts, 0, lambda done: None)
    early = np.concatenate([np.linspace(1, 0, len(answer.places)) for answer in answers])
    found = figures(answers, early)
    assert found.statements > 0.8
    assert found.place == found.statements
    assert found.in_place == 0.5
