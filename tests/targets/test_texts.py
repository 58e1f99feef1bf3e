"""Plain text, and what a trainer would make of it."""

from __future__ import annotations

import dataclasses
from typing import Any

from guard.core.policy import Policy
from guard.targets.example import Example, build
from guard.targets.texts import plain, spells_control
from guard.targets.wording import Target
from tests.exporters.records import TOKENIZERS, make, record

QWEN = TOKENIZERS["qwen"]


def example(**changes: Any) -> Example:
    found = build(record(**changes), Policy(name="p"))
    assert isinstance(found, Example)
    return found


def test_turns_that_differ_in_their_targets_share_a_prompt() -> None:
    one = example()
    other = dataclasses.replace(one, target=Target(put_in="", followed=" Well."))
    told = plain((one, other), QWEN)
    assert not isinstance(told, str)
    prompt, completions = told
    assert prompt.endswith("It is Sydney.")
    assert completions[1] == " Well."


def test_turns_with_other_beginnings_do_not() -> None:
    one = example()
    assert plain((one, dataclasses.replace(one, reasoning="They.")), QWEN) == "chat template"


def test_the_start_token_that_the_tokenizer_adds_is_left_to_it() -> None:
    adds = make("{{- bos_token }}" + str(QWEN.chat_template))
    adds.add_special_tokens({"bos_token": "<|endoftext|>"})
    adds.add_bos_token = True
    told = plain((example(),), adds)
    assert not isinstance(told, str)
    starts = adds("")["input_ids"][:1] == [adds.bos_token_id]
    assert told[0].startswith("<|endoftext|>") is not starts


def test_a_control_token_is_seen_wherever_it_is_spelt() -> None:
    assert spells_control(["a", "b <|im_end|>"], QWEN)
    assert not spells_control(["<think>", "im_end"], QWEN)
    assert plain((example(followed=" <|im_start|>"),), QWEN) == "control token in the text"
    assert plain((example(followed=" \ud800"),), QWEN) == "not text-exact"
