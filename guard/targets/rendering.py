"""An unfinished turn as the target model reads it.

Knows Hugging Face chat templates; knows nothing of tokens. The template's own way to continue is tried first; where it
has none, would change the text, or there is nothing to continue yet, its generation prompt is continued by hand,
whether or not that opens the reasoning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.errors import ConfigError
from guard.targets.example import Turn

_TAGS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<thinking>", "</thinking>"))
_OPTIONS = ("enable_thinking", "thinking", "reasoning_effort")
_RESERVED = frozenset(
    "conversation conversations messages tools documents chat_template add_generation_prompt continue_final_message "
    "tokenize padding truncation max_length return_tensors return_dict return_assistant_tokens_mask "
    "tokenizer_kwargs".split()
)
"""Parameters of `apply_chat_template`: what a client sends is for the template's variables only."""

_THOUGHT, _SAID = "#thought#", "#said#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """`prompt` ends in the open text; `close` stands between reasoning and content; `end` ends the turn ("":
    unknown)."""

    prompt: str
    close: str
    end: str


def demand_template(tokenizer: Any) -> None:
    """Raises ConfigError: the tokenizer has no chat template."""
    if not getattr(tokenizer, "chat_template", None):
        name = getattr(tokenizer, "name_or_path", "")
        raise ConfigError(f"tokenizer {name!r} has no chat template; name that of a chat model")


def render(turn: Turn, tokenizer: Any) -> Rendered | None:
    """The conversation and the turn, or None where the template takes neither way."""
    from jinja2 import TemplateError

    for way in (_continued, _opened) if turn.open_text.strip() else (_opened,):
        try:
            prompt = way(turn, tokenizer)
            close, end = _seams(turn, tokenizer)
            whole = _whole(prompt, turn, tokenizer)
        except (TemplateError, ValueError, TypeError):
            # A template may refuse a conversation, or a final message that it would change.
            continue
        if whole:
            return Rendered(prompt=prompt, close=close, end=end)
    return None


def _whole(prompt: str, turn: Turn, tokenizer: Any) -> bool:
    """Whether the turn stands in the prompt as it was: a template may drop reasoning, or change what is open."""
    if not prompt.endswith(turn.open_text):
        return False
    thought = "" if turn.thinking else turn.reasoning.strip()
    # The conversation may say the same.
    return thought in prompt.removeprefix(_apply(turn, tokenizer, turn.messages)) if thought else True


def _continued(turn: Turn, tokenizer: Any) -> str:
    message = {"role": "assistant", "content": turn.content}
    if turn.reasoning:
        message["reasoning_content"] = turn.reasoning
    final = "reasoning_content" if turn.thinking else True
    return _apply(turn, tokenizer, [*turn.messages, message], continue_final_message=final)


def _opened(turn: Turn, tokenizer: Any) -> str:
    prompt = _apply(turn, tokenizer, turn.messages, add_generation_prompt=True)
    start, stop = _tags(tokenizer)
    thinks = bool(turn.reasoning) or turn.thinking
    if prompt.rstrip().endswith(stop) and thinks:
        # The template wrote an empty block (thinking off) where the model did think.
        prompt = prompt[: prompt.rindex(start)]
    is_open = prompt.rstrip().endswith(start)
    if not (is_open or thinks):
        return prompt + turn.content
    target = turn.target.put_in + turn.target.followed
    comes = turn.reasoning or target
    prompt += "" if is_open else start + _fitted("\n", "", comes)
    prompt += turn.reasoning
    if turn.thinking:
        return prompt
    return prompt + _fitted(f"\n{stop}\n\n", turn.reasoning, turn.content or target) + turn.content


def _tags(tokenizer: Any) -> tuple[str, str]:
    return next((pair for pair in _TAGS if pair[0] in str(tokenizer.chat_template)), _TAGS[0])


def _fitted(seam: str, before: str, after: str) -> str:
    """The seam without the line breaks that the text on either side brings itself."""
    seam = seam.lstrip("\n") if before.endswith("\n") else seam
    return seam.rstrip("\n") if after.startswith("\n") else seam


def _seams(turn: Turn, tokenizer: Any) -> tuple[str, str]:
    """What the template writes between reasoning and content, and behind a finished turn."""
    message = {"role": "assistant", "reasoning_content": _THOUGHT, "content": _SAID}
    whole = _apply(turn, tokenizer, [*turn.messages, message])
    before, _, after = whole.rpartition(_SAID)
    known = _THOUGHT in before
    close = before.rpartition(_THOUGHT)[2] if known else "\n" + _tags(tokenizer)[1] + "\n\n"
    end = after.strip()
    end = end if end in tokenizer.get_added_vocab() else str(tokenizer.eos_token or "")
    target = turn.target
    return _fitted(close, target.put_in + target.followed, target.answer), end


def _apply(turn: Turn, tokenizer: Any, messages: Sequence[Mapping[str, Any]], **how: Any) -> str:
    given = turn.source.parameters
    nested = given.get("chat_template_kwargs")
    variables = {name: value for name, value in given.items() if name in _OPTIONS}
    variables |= nested if isinstance(nested, Mapping) else {}
    options = {name: value for name, value in variables.items() if name not in _RESERVED}
    tools = turn.source.tools or None
    told = [_parsed(message) for message in messages]
    return str(tokenizer.apply_chat_template(told, tools=tools, tokenize=False, **options, **how))


def _parsed(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message whose tool calls have their arguments as objects: so servers hand them to a template."""
    calls = message.get("tool_calls")
    if not isinstance(calls, (list, tuple)) or not all(isinstance(call, Mapping) for call in calls):
        return message
    return {**message, "tool_calls": [_with_object(call) for call in calls]}


def _with_object(call: Mapping[str, Any]) -> Mapping[str, Any]:
    function = call.get("function")
    if not isinstance(function, Mapping):
        return call
    try:
        told = json.loads(function["arguments"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return call
    return {**call, "function": {**function, "arguments": told}} if isinstance(told, dict) else call
