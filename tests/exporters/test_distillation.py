"""Stored distributions beside the tokens they were told for."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from guard.core.types import Token
from guard.errors import ConfigError
from guard.exporters.distillation import plugin
from guard.targets.tokens import IGNORED
from tests.exporters.records import IN_CONTENT, TEMPLATES, TOKENIZERS, make, one, record, told, trained, why

SAYS, ANSWERS = " So I say that.", "Canberra."


@pytest.fixture(params=TEMPLATES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]


@pytest.mark.parametrize("place", [{}, IN_CONTENT], ids=["reasoning", "content"])
def test_every_target_has_a_distribution_and_context_has_none(tokenizer: Any, place: dict[str, Any]) -> None:
    row = one(told(record(**place), tokenizer), tokenizer, plugin)
    assert tokenizer.decode(row["input_ids"]) == row["prompt"] + row["completion"]
    assert trained(row, tokenizer) == row["completion"]
    assert len(row["top_ids"]) == len(row["top_logprobs"]) == len(row["input_ids"]) == len(row["labels"])
    for label, ids, logprobs in zip(row["labels"], row["top_ids"], row["top_logprobs"], strict=True):
        assert bool(ids) is (label != IGNORED)
        assert len(ids) == len(logprobs) == len(set(ids))


def test_the_models_text_has_what_was_stored_and_the_rest_is_certain(tokenizer: Any) -> None:
    row = one(told(record(), tokenizer), tokenizer, plugin)
    columns = [row[name] for name in ("labels", "top_ids", "top_logprobs")]
    targets = [each for each in zip(*columns, strict=True) if each[0] != IGNORED]
    soft = [label for label, ids, _ in targets if len(ids) == 2]
    hard = [label for label, ids, _ in targets if len(ids) == 1]
    assert tokenizer.decode(soft) == SAYS + ANSWERS
    assert tokenizer.decode(hard) == " No, the capital is Canberra.\n</think>\n\n<|im_end|>"
    for label, ids, logprobs in targets:
        assert ids[0] == label
        assert logprobs in ([0.0], [-0.5, -2.0])


def test_the_stored_tokens_are_the_rows_even_where_the_tokenizer_would_write_others(tokenizer: Any) -> None:
    letters = tuple(
        (at, Token(id=tokenizer(c, add_special_tokens=False)["input_ids"][0], text=c, logprob=-0.1))
        for at, c in enumerate(" the capital.")
    )
    merged = of = told(record(followed=" the capital."), tokenizer)
    assert of.closing is not None
    of = dataclasses.replace(of, closing=dataclasses.replace(of.closing, followed_tokens=letters))
    ids = one(of, tokenizer, plugin)["input_ids"]
    spelt = [token.id for _, token in letters]
    assert any(ids[at : at + len(spelt)] == spelt for at in range(len(ids)))
    assert len(ids) > len(one(merged, tokenizer, plugin)["input_ids"])


def test_a_sampled_tokens_own_probability_is_enough(tokenizer: Any) -> None:
    row = one(told(record(), tokenizer, top=()), tokenizer, plugin)
    assert {len(ids) for ids, label in zip(row["top_ids"], row["labels"], strict=True) if label != IGNORED} == {1}
    assert [-0.5] in row["top_logprobs"]


def test_what_no_trainer_can_use_is_left_out_of_a_distribution(tokenizer: Any) -> None:
    of = told(record(), tokenizer, top=((5, -0.5), (-1, -1.0), (6, -math.inf), (10**6, -2.0), (5, -3.0)))
    tops = one(of, tokenizer, plugin)["top_ids"]
    assert [5] in tops
    assert not any(len(ids) > 1 for ids in tops)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": -1}, "no token ids"),
        ({"top": (), "logprob": None}, "no log-probabilities"),
        ({"top": ((5, -math.inf),)}, "no log-probabilities"),
        ({"id": 300}, "tokens do not match"),
        ({"id": 2**40}, "tokens do not match"),
    ],
)
def test_tokens_that_cannot_be_used_give_no_row(tokenizer: Any, changes: dict[str, Any], reason: str) -> None:
    assert why(told(record(), tokenizer, **changes), tokenizer, plugin) == reason


def test_what_is_missing_is_counted(tokenizer: Any) -> None:
    assert why(record(), tokenizer, plugin) == "no token ids"
    assert why(told(record(followed="", answer=""), tokenizer), tokenizer, plugin) == "no model text"
    assert why(told(record(known=0.2), tokenizer), tokenizer, plugin) == "never said"
    assert why(told(record(correct="retract"), tokenizer), tokenizer, plugin) == "never said"
    assert why(told(record(), tokenizer), make("{{ raise_exception('no') }}"), plugin) == "chat template"


def test_text_from_where_the_claim_is_repeated_is_left_out_with_its_tokens(tokenizer: Any) -> None:
    row = one(told(record(followed=" Hm. It is Sydney. Yes."), tokenizer), tokenizer, plugin)
    assert trained(row, tokenizer) == " No, the capital is Canberra. Hm."
    assert not row["ended"]


def test_without_a_tokenizer_there_are_no_ids() -> None:
    with pytest.raises(ConfigError, match="--tokenizer"):
        list(plugin.rows([record()]))
