"""Fields, sampling, and the cutting of text: the parts that need no model."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guard.backends.transformers.fields import REFUSED, parse
from guard.backends.transformers.model import Output
from guard.backends.transformers.sampling import Sampler, Sampling, Step
from guard.backends.transformers.splitter import Splitter, overlap
from guard.backends.transformers.stops import Stops
from guard.backends.transformers.track import Track, common
from guard.backends.transformers.vocabulary import Vocabulary
from guard.backends.transformers.writer import Writer
from guard.core.events import Delta
from guard.errors import RequestError
from tests.backends.tiny_models import size, tokenizer

TAGS = ("<think>", "</think>")
PIECES = st.lists(st.text(alphabet="<>/thinkab \n", max_size=6), max_size=8)
WORDS = st.lists(st.sampled_from(["<think>", "</think>", "a", " ", "<", "think>", "\n", "</"]), max_size=8)


def _split(pieces: list[str], channel: Any) -> list[tuple[Any, str]]:
    splitter = Splitter(TAGS, channel)
    parts = [part for piece in pieces for part in splitter.feed(piece)] + splitter.flush()
    joined: list[tuple[Any, str]] = []
    for where, text in parts:
        if joined and joined[-1][0] == where is not None:
            joined[-1] = (where, joined[-1][1] + text)
        else:
            joined.append((where, text))
    return joined


@given(PIECES | WORDS, st.sampled_from([None, "reasoning", "content"]))
def test_splitting_does_not_depend_on_the_cuts(pieces: list[str], channel: Any) -> None:
    whole = "".join(pieces)
    parts = _split(pieces, channel)
    assert parts == _split([whole] if whole else [], channel) == _split(list(whole), channel)
    assert "".join(text for _, text in parts) == whole


@given(PIECES, st.lists(st.text(alphabet="thinka ", min_size=1, max_size=4), max_size=3))
def test_stops_are_found_wherever_the_text_is_cut(pieces: list[str], stops: list[str]) -> None:
    whole, matcher, clear = "".join(pieces), Stops(stops), 0
    found = False
    for piece in pieces:
        more, found = matcher.feed(piece)
        clear += more
        if found:
            break
    firsts = [at for stop in stops if (at := whole.find(stop)) >= 0]
    assert found == bool(firsts)
    if not found:
        assert clear == len(whole) - max((overlap(whole, stop) for stop in stops), default=0)
    else:
        assert any(whole.startswith(stop, clear) for stop in stops)


def _write(ids: list[int], stops: list[str], top: int | None = None) -> list[Delta]:
    writer = Writer(0, Track("reasoning"), Vocabulary(tokenizer(), TAGS), TAGS, stops=stops, top=top)
    sent: list[Delta] = []
    for id in ids:
        deltas, stopped = writer.write(Step(id, -0.5, 1.0, ((id, -0.5),)))
        sent += deltas
        if stopped:
            return sent
    return sent + writer.flush()


@given(
    st.lists(st.integers(0, size() - 1), max_size=40), st.lists(st.text("abt e", min_size=1, max_size=3), max_size=2)
)
def test_any_tokens_give_deltas_whose_tokens_spell_them(ids: list[int], stops: list[str]) -> None:
    for delta in _write(ids, stops):
        assert delta.text == "".join(token.text for token in delta.tokens) != ""
        assert not any(stop in delta.text for stop in stops)


@given(st.text(max_size=30))
def test_text_comes_out_as_it_was_spelled(said: str) -> None:
    ids = Vocabulary(tokenizer(), TAGS).plain(said)
    sent = _write(ids, [])
    whole = "".join(delta.text for delta in sent)
    assert whole == said.replace("</think>", "", 1)
    told = [token.id for delta in sent for token in delta.tokens]
    assert "</think>" in said or told == ids


def test_logprobs_have_openais_shape() -> None:
    (delta,) = _write(tokenizer().encode("é"), [], top=1)[:1]
    first = delta.logprobs["content"][0]
    assert first["top_logprobs"][0]["logprob"] == first["logprob"] == -0.5
    assert bytes(byte for entry in delta.logprobs["content"] for byte in entry["bytes"]) == "é".encode()
    assert delta.tokens[0].entropy == 1.0


@given(st.text("ab", max_size=20), st.text("ab", max_size=20))
def test_common_beginnings(one: str, other: str) -> None:
    n = common(one, other)
    assert one[:n] == other[:n]
    assert n == min(len(one), len(other)) or one[n] != other[n]


# Fields -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_fields_that_would_change_the_answer_are_refused(name: str) -> None:
    with pytest.raises(RequestError, match=name) as caught:
        parse({name: [{"x": 1}]}, vocabulary=10)
    assert (caught.value.status, caught.value.param) == (400, name)
    parse({name: None}, vocabulary=10)


@pytest.mark.parametrize(
    "body",
    [
        {"temperature": "hot"},
        {"temperature": True},
        {"top_p": 1.5},
        {"top_k": -2},
        {"frequency_penalty": 3},
        {"max_tokens": -1},
        {"max_completion_tokens": 1.5},
        {"stop": [""]},
        {"stop": 3},
        {"stop_token_ids": [99]},
        {"logit_bias": {"99": 1}},
        {"logit_bias": {"x": 1}},
        {"logit_bias": {"1": 101}},
        {"logit_bias": {"1": True}},
        {"logit_bias": [1]},
        {"seed": "x"},
        {"top_logprobs": 21, "logprobs": True},
        {"top_logprobs": 2},
        {"chat_template_kwargs": {"tokenize": True}},
        {"chat_template_kwargs": 3},
    ],
)
def test_values_that_cannot_be_used_name_their_field(body: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        parse(body, vocabulary=10)
    assert caught.value.param == next(iter(body))


def test_harmless_and_unknown_fields_pass() -> None:
    body = {
        "response_format": {"type": "text"},
        "tool_choice": "none",
        "best_of": 1,
        "user": "x",
        "new": 1,
        "stop": "x",
    }
    fields = parse(body, vocabulary=10)
    assert fields.stops == ("x",)
    assert fields.told is None
    assert parse({"logprobs": True, "top_logprobs": 3, "reasoning_effort": "low"}, vocabulary=10, top=5) == parse(
        {"logprobs": True, "top_logprobs": 3, "chat_template_kwargs": {"reasoning_effort": "low"}}, vocabulary=10, top=5
    )


def test_the_models_makers_values_are_the_defaults() -> None:
    made = SimpleNamespace(temperature=0.6, top_p=None, top_k=20)
    sampling = parse({"top_k": 5}, vocabulary=100, generation=made).sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.6, 1.0, 5)


# Sampling ---------------------------------------------------------------------------------------------------------


def _picks(sampling: Sampling, logits: list[float], turn: list[int]) -> set[int]:
    sampler = Sampler(sampling, 1, torch.device("cpu"))
    return {sampler.pick(Output(torch.tensor(logits)), (), turn).id for _ in range(200)}


@pytest.mark.parametrize(
    ("sampling", "want"),
    [
        (Sampling(), {0, 1, 2}),
        (Sampling(temperature=0), {0}),
        (Sampling(top_k=2), {0, 1}),
        (Sampling(top_k=9), {0, 1, 2}),
        (Sampling(top_p=0.5), {0}),
        (Sampling(top_p=0.0), {0}),
        (Sampling(top_p=0.8), {0, 1}),
        (Sampling(min_p=0.9), {0}),
        (Sampling(temperature=0, bias={2: 9.0}), {2}),
        (Sampling(temperature=0, presence=2.0), {1}),
        (Sampling(temperature=0, frequency=2.0), {1}),
        (Sampling(temperature=0, repetition=2.0), {1}),
    ],
)
def test_sampling(sampling: Sampling, want: set[int]) -> None:
    assert _picks(sampling, [2.0, 1.5, 0.5, -50.0], turn=[0]) == want


def test_logprobs_and_entropy_are_the_models_own() -> None:
    sampling = Sampling(temperature=0, bias={1: 50.0}, top=2)
    step = Sampler(sampling, None, torch.device("cpu")).pick(Output(torch.tensor([0.0, 0.0, -math.inf])), (), [])
    assert step.id == 1
    assert step.logprob == pytest.approx(-math.log(2))
    assert step.entropy == pytest.approx(math.log(2))
    assert [round(value, 4) for _, value in step.top] == [-0.6931, -0.6931]
