"""`guard train distill`: the loss on stored distributions, and training on a real export."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, kl_div
from transformers import AutoTokenizer

from guard.errors import ConfigError
from guard.train.distill import measure
from guard.train.distill_loss import divergence
from guard.train.distill_rows import collated, columns, one_hot, read_lessons
from guard.train.loading import load
from tests.train.exports import MODEL, exported, rows_of, run, write
from tests.train.quiet import QUIET

pytestmark = QUIET
LOGIT = st.floats(-30, 30, width=32)
ROW = st.lists(LOGIT, min_size=2, max_size=9)
TEMPERATURE = st.floats(0.25, 8)


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def top(teacher: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k most probable outcomes of logits, as they are stored."""
    values, ids = teacher.log_softmax(-1).topk(k)
    return ids[None], values[None]


@given(ROW, st.data(), TEMPERATURE)
def test_with_every_outcome_stored_it_is_the_whole_divergence(
    told: list[float], data: st.DataObject, temperature: float
) -> None:
    teacher = tensor(told)
    student = tensor(data.draw(st.lists(LOGIT, min_size=len(told), max_size=len(told))))
    found = divergence(student[None], *top(teacher, len(told)), temperature)
    s, q = ((each / temperature).log_softmax(-1) for each in (student, teacher))
    whole = temperature**2 * kl_div(s, q, reduction="sum", log_target=True)
    assert float(found) == pytest.approx(float(whole), rel=1e-3, abs=2e-3 * temperature**2)


@given(ROW, st.data())
def test_one_hot_it_is_cross_entropy(told: list[float], data: st.DataObject) -> None:
    student, token = tensor([told]), data.draw(st.integers(0, len(told) - 1))
    found = divergence(student, torch.tensor([[token]]), tensor([[0.0]]))
    assert float(found) == pytest.approx(float(cross_entropy(student, torch.tensor([token]))), rel=1e-5, abs=1e-5)


@given(ROW, st.data())
def test_what_is_not_stored_is_one_outcome(told: list[float], data: st.DataObject) -> None:
    """Against the sum over k + 1 outcomes in double precision; and merging outcomes never adds divergence."""
    teacher = torch.tensor(told, dtype=torch.float64)
    student = torch.tensor(data.draw(st.lists(LOGIT, min_size=len(told), max_size=len(told))), dtype=torch.float64)
    k = data.draw(st.integers(1, len(told) - 1))
    ids, log_probs = top(teacher, k)
    p, s = teacher.softmax(-1), student.softmax(-1)
    others = torch.ones(len(told), dtype=torch.bool)
    others[ids[0]] = False
    both = [torch.cat([each[ids[0]], each[others].sum()[None]]) for each in (p, s)]
    assume(float(both[0][-1]) > 1e-4)
    expected = float((both[0] * (both[0].log() - both[1].log())).sum())
    found = float(divergence(student.float()[None], ids, log_probs.float()))
    assert found == pytest.approx(expected, rel=2e-2, abs=2e-3)
    assert found <= float((p * (p.log() - s.log())).sum()) + 2e-2 * abs(found) + 2e-3
    assert found >= -1e-5


@given(ROW, TEMPERATURE, st.data())
def test_a_student_that_agrees_has_nothing_to_learn(told: list[float], temperature: float, data: st.DataObject) -> None:
    student = tensor(told).requires_grad_()
    k = data.draw(st.integers(1, len(told)))
    ids, log_probs = top(student.detach(), k)
    # A rest as small as the rounding of what is stored is noise, and a temperature makes it large.
    assume(k == len(told) or float(log_probs.exp().sum()) < 1 - 1e-2)
    loss = divergence(student[None], ids, log_probs, temperature)
    (gradient,) = torch.autograd.grad(loss.sum(), student)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-3 * temperature**2)
    assert float(gradient.abs().max()) == pytest.approx(0, abs=1e-3 * temperature)


EDGES = [0.0, -1e-9, 1e-3, -1e-3, -0.693, -80.0, -9999.0]


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([0.0, 50.0, -50.0, 1e4, -1e4, 3.0, -math.inf]), min_size=5, max_size=5),
    st.lists(st.sampled_from(EDGES), min_size=1, max_size=5),
    TEMPERATURE,
)
def test_loss_and_gradient_are_finite_at_the_edges(
    logits: list[float], log_probs: list[float], temperature: float
) -> None:
    """Certain and impossible outcomes, masses of more than 1, logits far apart, and every outcome stored."""
    assume(max(logits) > -math.inf)
    student = tensor(logits).requires_grad_()
    ids = torch.arange(len(log_probs))[None]
    loss = divergence(student[None], ids, tensor([log_probs]), temperature)
    (gradient,) = torch.autograd.grad(loss.sum(), student)
    assert bool(loss.isfinite().all())
    assert bool(gradient.isfinite().all())


@given(ROW, st.integers(0, 9), st.data())
def test_a_shorter_list_is_filled_up_with_nothing(told: list[float], filler: int, data: st.DataObject) -> None:
    student = tensor([told])
    k = data.draw(st.integers(1, len(told)))
    ids, log_probs = top(tensor(told).flip(0), k)
    fillers = torch.full((1, 3), min(filler, len(told) - 1))
    longer = divergence(student, torch.cat([ids, fillers], 1), torch.cat([log_probs, tensor([[-math.inf] * 3])], 1))
    assert torch.allclose(longer, divergence(student, ids, log_probs), rtol=1e-5, atol=1e-6)


def test_a_nearly_certain_rest_still_has_a_gradient() -> None:
    """1 - sum would be 0 in single precision, and the gradient with it."""
    student = tensor([40.0, 0.0, 0.0, 0.0]).requires_grad_()
    loss = divergence(student[None], torch.tensor([[0]]), tensor([[math.log(0.5)]]))
    (gradient,) = torch.autograd.grad(loss.sum(), student)
    assert gradient.tolist() == pytest.approx([0.5, -1 / 6, -1 / 6, -1 / 6], abs=1e-4)


# Rows and training


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(MODEL)


def distill(out: Path, *more: Any) -> Any:
    """The command on the export, small."""
    named = ("--model", MODEL, "--rows", exported("distillation"), "--out", out, "--batch", 3)
    return run("distill", *named, *more)


def test_stored_distributions_are_learnt(tmp_path: Path, tokenizer: Any) -> None:
    out = tmp_path / "out"
    done = distill(out, "--steps", 10, "--learning-rate", 5e-3, "--temperature", 2)
    assert done.exit_code == 0, done.output
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["after"]["divergence"] < report["before"]["divergence"] - 0.5
    assert report["targets"] > report["one_hot_targets"] > 0
    assert 0.9 < report["stored_mass"] <= 1.0001
    assert report["losses"][-1]["loss"] < report["losses"][0]["loss"]
    model, _ = load(str(out), device="cpu")
    lessons, _ = read_lessons([exported("distillation")], tokenizer, None)
    assert measure(model, lessons).divergence == pytest.approx(report["after"]["divergence"], abs=1e-3)


def test_the_control_learns_the_tokens_of_the_same_rows(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert distill(out, "--steps", 1, "--one-hot", "--batch", 6, "--full", "--merge").exit_code != 0
    done = distill(out, "--steps", 1, "--one-hot", "--batch", 6, "--full")
    assert done.exit_code == 0, done.output
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["taught"] == "the tokens"
    # One batch of all rows: the trainer's first loss is the mean over all targets, before anything was learnt.
    assert report["losses"][0]["loss"] == pytest.approx(report["before"]["cross_entropy"], rel=1e-3)


def test_a_batch_keeps_each_distribution_with_its_target(tokenizer: Any) -> None:
    lessons, _ = read_lessons([exported("distillation")], tokenizer, None)
    batch = collated([columns(lesson) for lesson in lessons])
    told = rows_of(exported("distillation"))
    stored = [ids for row in told for ids in row["top_ids"] if ids]
    assert [ids[: len(want)] for ids, want in zip(batch["top_ids"].tolist(), stored, strict=True)] == stored
    targets = batch["labels"][:, 1:][batch["labels"][:, 1:] != -100]
    assert len(targets) == len(stored)
    certain = collated([columns(one_hot(lesson)) for lesson in lessons])
    assert certain["top_ids"][:, 0].tolist() == targets.tolist()


GOOD: dict[str, Any] = {
    "input_ids": [1, 5, 6],
    "labels": [-100, -100, 6],
    "top_ids": [[], [], [6, 7]],
    "top_logprobs": [[], [], [-0.1, -3.0]],
}


def test_a_row_as_it_should_be(tmp_path: Path, tokenizer: Any) -> None:
    ((lesson,), too_long) = read_lessons([write(tmp_path / "r.jsonl", [GOOD])], tokenizer, 3)
    assert (lesson.ids, lesson.log_probs, too_long) == (((6, 7),), ((-0.1, -3.0),), 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"top_ids": [[], [6, 7]]}, "`top_ids` must be a list as long as `input_ids`"),
        ({"top_logprobs": None}, "`top_logprobs` must be a list"),
        ({"top_ids": [[], [], []]}, "a target needs distinct `top_ids`"),
        ({"top_ids": [[], [], [6, 6]]}, "a target needs distinct `top_ids`"),
        ({"top_logprobs": [[], [], [-0.1]]}, "as many `top_logprobs`"),
        ({"top_logprobs": [[], [], [-0.1, 2.0]]}, "no list of numbers up to 0"),
        ({"top_logprobs": [[], [], [-0.1, -0.2]]}, "add up to more than 1: natural logarithms?"),
        ({"top_logprobs": [[], [], [-0.1, None]]}, "no list of numbers"),
        ({"top_ids": [[], [], [6, 99_999]]}, "was made with another tokenizer"),
        ({"input_ids": None}, "`input_ids` is no list"),
    ],
)
def test_rows_that_cannot_be_used_are_one_line(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [GOOD | change])
    done = run("distill", "--model", MODEL, "--rows", path, "--out", tmp_path / "out")
    assert isinstance(done.exception, ConfigError), done.output
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)


def test_rows_longer_than_the_limit_are_an_error_where_none_is_left(tmp_path: Path) -> None:
    done = distill(tmp_path / "out", "--max-length", 5)
    assert isinstance(done.exception, ConfigError)
    assert "rows has at most 5 tokens" in str(done.exception)
