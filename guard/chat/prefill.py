"""How servers are asked to go on with the last assistant message instead of answering it: one dialect a row.

Pure tables and dictionaries. It does not know which server speaks which dialect; the trial (`guard.chat.trial`) finds
out. Rules:
  A dialect is what it writes on the message and beside the messages, and how it writes reasoning that is not over.
  Closed reasoning goes along in the field that the server itself uses, so that the model sees it as it was corrected.
  White space at the end is not sent: Claude refuses it, several templates strip it, and a model writes a space as the
  beginning of its next word. The caller drops from the reply what then comes twice (`guard.chat.opening`).

Sources: docs of vLLM, SGLang, llama.cpp's server (`continue_final_message`), DeepSeek's beta and Mistral (`prefix`),
Moonshot and DashScope (`partial`), Ollama, OpenRouter, Groq, Anthropic up to 4.5 (a trailing message alone).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Dialect = Literal["continue_final_message", "think_tag", "prefix", "prefix_typed", "partial", "trailing"]
"""`think_tag` is `continue_final_message` with open reasoning written as content behind its opening tag (servers whose
flag is only true or false)."""


@dataclass(frozen=True, slots=True)
class _Row:
    """`mark` stands on the message; `flags` and `open_flags` (in open reasoning) beside the messages; `opens` is how
    open reasoning is written: a field's name, Mistral's `typed` part, behind the opening `tag`, or not at all."""

    mark: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)
    open_flags: Mapping[str, Any] = field(default_factory=dict)
    opens: Literal["reasoning_content", "reasoning", "typed", "tag"] | None = None


# Servers add a generation prompt unless told not to, and refuse both at once.
_CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}
_CONTINUE_REASONING = {"continue_final_message": "reasoning_content", "add_generation_prompt": False}
_PREFIX = {"prefix": True}

_ROWS: Mapping[Dialect, _Row] = {
    "continue_final_message": _Row(flags=_CONTINUE, open_flags=_CONTINUE_REASONING, opens="reasoning_content"),
    "think_tag": _Row(flags=_CONTINUE, open_flags=_CONTINUE, opens="tag"),
    "prefix": _Row(mark=_PREFIX, opens="reasoning_content"),
    "prefix_typed": _Row(mark=_PREFIX, opens="typed"),
    "partial": _Row(mark={"partial": True}),
    "trailing": _Row(opens="reasoning"),
}

TO_CONTENT: tuple[Dialect, ...] = ("continue_final_message", "prefix", "partial", "trailing")
"""What is tried for content, in this order: explicit words first; the others write content as one of these does."""

TO_REASONING: tuple[Dialect, ...] = ("continue_final_message", "prefix", "prefix_typed", "think_tag", "trailing")
"""What is tried for open reasoning, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefill:
    """The last message and what stands beside the messages."""

    message: Mapping[str, Any]
    flags: Mapping[str, Any]


def in_content(dialect: Dialect, content: str, reasoning: str = "", form: str = "") -> Prefill:
    """Content that is to go on, behind reasoning that is over. `form`: the field the server sends reasoning in."""
    row = _ROWS[dialect]
    said: Any = content.rstrip()
    message: dict[str, Any] = {"role": "assistant", "content": said, **row.mark}
    if reasoning and form == "typed":
        message["content"] = [{**_thinking(reasoning), "closed": True}, {"type": "text", "text": said}]
    elif reasoning:
        message["reasoning" if form == "reasoning" else "reasoning_content"] = reasoning
    return Prefill(message=message, flags=row.flags)


def in_reasoning(dialect: Dialect, reasoning: str, opening: str) -> Prefill | None:
    """Reasoning that is to go on, or None where the dialect has no word for it. `opening`: the tag before it."""
    row, said = _ROWS[dialect], reasoning.rstrip()
    message: dict[str, Any] = {"role": "assistant", "content": "", **row.mark}
    match row.opens:
        case None:
            return None
        case "typed":
            message["content"] = [{**_thinking(said), "closed": False}]
        case "tag":
            message["content"] = f"{opening}\n{said}"
        case name:
            message[name] = said
    return Prefill(message=message, flags=row.open_flags)


def opens_reasoning(dialect: Dialect) -> bool:
    """Whether the dialect can leave reasoning open."""
    return _ROWS[dialect].opens is not None


def _thinking(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
