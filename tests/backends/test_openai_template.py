import sys
from pathlib import Path
from typing import Any

import pytest

from guard.backends.openai.template import Glue, Template, TemplateError, turn_text
from guard.core.types import Channel
from guard.errors import ConfigError, MissingExtra

TAGS = ("<think>", "</think>")

# Qwen3's, without tools: the model opens the block itself; `enable_thinking=false` writes an empty one.
QWEN = """\
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- if message.reasoning_content %}
{{- '<think>\\n' + message.reasoning_content.strip('\\n') + '\\n</think>\\n\\n' }}
{%- endif %}
{{- message.content.lstrip('\\n') + '<|im_end|>\\n' }}
{%- elif message.role in ['user', 'system'] %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- else %}{{- raise_exception('no such role') }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}"""

# The closed world's: the template opens the block.
OPENED = """\
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- '<|assistant|><think>' + (message.reasoning_content or '') + '</think>' + message.content + '<|end|>' -}}
{%- else -%}{{- '<|user|>' + message.content + '<|end|>' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|><think>' -}}{%- endif -%}"""

ASKED = [{"role": "user", "content": "Why?"}]
QWEN_HEAD = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
OPENED_HEAD = "<|user|>Why?<|end|><|assistant|><think>"


def make_tokenizer(directory: Path, template: str | None, *, bos: bool = False) -> str:
    """A tokenizer of one token a word or mark, saved as a server's operator would have it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"[UNK]": 0, "<s>": 1}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if bos:
        inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", bos_token="<s>")
    if template is not None:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(str(directory))
    return str(directory)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template.load(make_tokenizer(tmp_path_factory.mktemp("qwen"), QWEN), TAGS)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template.load(make_tokenizer(tmp_path_factory.mktemp("opened"), OPENED), TAGS)


def prompt(template: Template, channel: Channel, variables: dict[str, Any] | None = None, **kept: Any) -> str:
    return template.prompt(ASKED, kept, channel, variables or {})[0]  # type: ignore[arg-type]


def test_open_reasoning_where_the_model_opens_it(qwen: Template) -> None:
    assert prompt(qwen, "reasoning", reasoning="A. No, B.") == QWEN_HEAD + "<think>\nA. No, B."
    assert prompt(qwen, "reasoning", reasoning="\nA.") == QWEN_HEAD + "<think>\nA."
    assert prompt(qwen, "reasoning") == QWEN_HEAD + "<think>\n"


def test_open_reasoning_where_the_template_opens_it(opened: Template) -> None:
    assert prompt(opened, "reasoning", reasoning="A. No, B.") == OPENED_HEAD + "A. No, B."
    assert prompt(opened, "reasoning") == OPENED_HEAD


def test_open_content_behind_reasoning(qwen: Template, opened: Template) -> None:
    kept: dict[str, Any] = {"reasoning": "A.", "content": "So B "}
    assert prompt(qwen, "content", **kept) == QWEN_HEAD + "<think>\nA.\n</think>\n\nSo B "
    assert prompt(opened, "content", **kept) == OPENED_HEAD + "A.</think>So B "
    verbatim: dict[str, Any] = {"reasoning": "\nA.\n", "content": "\n\nSo B"}
    assert prompt(qwen, "content", **verbatim) == QWEN_HEAD + "<think>\nA.\n</think>\n\nSo B"


def test_open_content_without_reasoning(qwen: Template, opened: Template) -> None:
    assert prompt(qwen, "content", content="So") == QWEN_HEAD + "So"
    assert prompt(opened, "content", content="So") == OPENED_HEAD + "</think>So"


def test_thinking_switched_off(qwen: Template) -> None:
    off = {"enable_thinking": False}
    assert prompt(qwen, "content", off, content="So") == QWEN_HEAD + "<think>\n\n</think>\n\nSo"
    assert prompt(qwen, "reasoning", off, reasoning="A") == QWEN_HEAD + "<think>\nA"


def test_a_rendered_turn_is_what_the_template_itself_makes_of_it(qwen: Template, opened: Template) -> None:
    turn = {"role": "assistant", "reasoning_content": "A.", "content": "So B."}
    for template, ending in ((qwen, "<|im_end|>\n"), (opened, "<|end|>")):
        whole = template._render([*ASKED, turn], {}, generation=False)
        assert prompt(template, "content", reasoning="A.", content="So B.") + ending == whole


def test_a_users_words_do_not_open_reasoning(qwen: Template) -> None:
    asked = [{"role": "user", "content": "What is <think>"}]
    assert qwen.prompt(asked, {"content": "A tag"}, "content", {})[0].endswith("assistant\nA tag")


def test_a_template_that_ends_in_a_line_of_its_own() -> None:
    head = "<|Assistant|><think>\n"
    assert turn_text(head, {"reasoning": "A."}, "reasoning", TAGS, Glue()) == head + "A."
    assert turn_text(head, {"reasoning": "A.", "content": "B"}, "content", TAGS, Glue()) == (head + "A.\n</think>\n\nB")


def test_the_beginning_of_text_is_not_doubled(tmp_path: Path) -> None:
    template = "<s>{{ messages[0].content }}:"
    adds = Template.load(make_tokenizer(tmp_path / "a", template, bos=True), TAGS)
    leaves = Template.load(make_tokenizer(tmp_path / "b", template), TAGS)
    assert prompt(adds, "content", content="x") == "Why?:x"
    assert prompt(leaves, "content", content="x") == "<s>Why?:x"


def test_a_client_fills_in_the_templates_variables_only(qwen: Template) -> None:
    evil = {"chat_template": "{{ 1 }}", "tokenize": True, "add_generation_prompt": False, "messages": []}
    assert prompt(qwen, "content", evil, content="So") == QWEN_HEAD + "So"


def test_what_a_template_refuses(qwen: Template) -> None:
    with pytest.raises(TemplateError, match="no such role"):
        qwen.prompt([{"role": "critic", "content": ""}], {}, "content", {})


def test_counting(tmp_path: Path, qwen: Template) -> None:
    plain = Template.load(make_tokenizer(tmp_path, None, bos=True), TAGS)
    assert not plain.renders
    assert plain.count("one two three") == 3
    assert qwen.prompt(ASKED, {"content": "So B"}, "content", {})[1] == qwen.count(QWEN_HEAD + "So B")


def test_what_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        Template.load(str(tmp_path), TAGS)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match="local"):
        Template.load(str(tmp_path), TAGS)
