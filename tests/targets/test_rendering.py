"""A turn that has not begun yet, and one that goes on: what the target model reads."""

from __future__ import annotations

from typing import Any

import pytest

from guard.core.policy import Policy
from guard.errors import ConfigError
from guard.targets.example import Example, build, build_instead
from guard.targets.rendering import demand_template, render
from tests.exporters.records import IN_CONTENT, TEMPLATES, TOKENIZERS, make, record

POLICY = Policy(name="default")


@pytest.fixture(params=TEMPLATES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]


def prompt(example: Example | str, tokenizer: Any) -> str:
    assert isinstance(example, Example)
    rendered = render(example, tokenizer)
    assert rendered is not None
    return rendered.prompt.rpartition("<|im_start|>")[2]


def test_a_reasoning_that_has_not_begun_is_opened(tokenizer: Any) -> None:
    assert prompt(build_instead(record(kept={}), POLICY), tokenizer) == "assistant\n<think>\n"


def test_a_reasoning_that_begins_with_a_line_break_has_one(tokenizer: Any) -> None:
    text = prompt(build_instead(record(kept={}, text="\nIt is Sydney."), POLICY), tokenizer)
    opened_by_the_template = tokenizer is TOKENIZERS["open"]
    assert text == "assistant\n<think>" + ("\n" if opened_by_the_template else "")


def test_an_answer_that_has_not_begun_stands_behind_its_reasoning(tokenizer: Any) -> None:
    kept = {"reasoning": "They ask for the capital."}
    text = prompt(build_instead(record(**IN_CONTENT | {"kept": kept}), POLICY), tokenizer)
    assert text == "assistant\n<think>\nThey ask for the capital.\n</think>\n\n"


def test_the_claim_ends_the_prompt_or_is_not_in_it(tokenizer: Any) -> None:
    assert prompt(build(record(), POLICY), tokenizer).endswith(" It is Sydney.")
    assert prompt(build_instead(record(), POLICY), tokenizer).endswith("They ask for the capital.")


def test_reasoning_that_the_conversation_says_too_is_not_lost(tokenizer: Any) -> None:
    kept = {"reasoning": "Australia?", "content": "Well."}
    text = prompt(build(record(**IN_CONTENT | {"kept": kept}), POLICY), tokenizer)
    assert text == "assistant\n<think>\nAustralia?\n</think>\n\nWell. It is Sydney."


def whole(template: str, **parameters: Any) -> str:
    example = build(record(**parameters), POLICY)
    assert isinstance(example, Example)
    rendered = render(example, make(template))
    assert rendered is not None
    return rendered.prompt


@pytest.mark.parametrize("nested", [{"persona": "Kim"}, {"persona": "Kim", "tokenize": True, "messages": []}])
def test_the_templates_variables_are_the_requests(nested: dict[str, Any]) -> None:
    spoken = "{%- if persona is defined %}{{- 'You are ' + persona + '. ' }}{%- endif %}" + TEMPLATES["qwen"]
    assert whole(spoken).startswith("<|im_start|>")
    assert whole(spoken, parameters={"chat_template_kwargs": nested}).startswith("You are Kim. <|im_start|>")
    assert whole(spoken, parameters={"persona": "Kim", "chat_template_kwargs": None}).startswith("<|im_start|>")


@pytest.mark.parametrize(
    ("arguments", "written"), [('{"city":"Bern"}', '{"city": "Bern"}'), ("{city", '"{city"'), ("7", '"7"')]
)
def test_the_arguments_of_earlier_tool_calls_are_objects(arguments: str, written: str) -> None:
    calling = (
        "{%- for message in messages %}{%- for call in message.tool_calls or [] %}"
        "{{- call.function.arguments | tojson }}{%- endfor %}{%- endfor %}" + TEMPLATES["qwen"]
    )
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    messages = [
        {"role": "user", "content": "Warm?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "21 C"},
    ]
    assert whole(calling, messages=messages).startswith(written + "<|im_start|>")


@pytest.mark.parametrize("calls", [["weather"], [{"id": "1"}], [{"function": {"name": "now"}}], {"id": "1"}])
def test_calls_of_another_shape_are_the_templates_affair(calls: Any) -> None:
    messages = [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": "", "tool_calls": calls}]
    assert whole(TEMPLATES["qwen"], messages=[*messages, {"role": "user", "content": "So?"}])


def test_a_tokenizer_without_a_template_is_refused() -> None:
    demand_template(TOKENIZERS["plain"])
    with pytest.raises(ConfigError, match="no chat template"):
        demand_template(make(""))
