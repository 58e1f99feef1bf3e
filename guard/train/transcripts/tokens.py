"""A transcript as tokens of the model that is to learn it: everything before the answer is context.

Knows Hugging Face tokenizers and chat templates. Rules:
  The target is the last message alone: reasoning, answer and the end of the turn. Earlier messages of the turn, where
  tools were called, are context, and so are the tools' results.
  A row is exact: the template's own rendering up to the answer begins its rendering of all, and the ids decode to it.
  What a model wrote never becomes a control token, even where it spells one.
  What cannot become a row gives the reason instead: a word or two to count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from guard.errors import ConfigError, MissingExtra
from guard.targets.tokens import Piece, encode, labelled


def load_tokenizer(name: str) -> Any:
    """A tokenizer with a chat template. Raises ConfigError or MissingExtra."""
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise MissingExtra("--tokenizer needs transformers: pip install 'premise-guard[local]'") from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConfigError(f"--tokenizer {name!r} cannot be loaded: {why}") from None
    if not getattr(tokenizer, "chat_template", None):
        raise ConfigError(f"--tokenizer {name!r} has no chat template; name that of a chat model")
    return tokenizer


def token_row(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], tokenizer: Any
) -> dict[str, list[int]] | str:
    """`input_ids`, `labels` (-100 on all context) and `completion_mask` of a conversation that ends with its answer, or
    why there are none."""
    from jinja2 import TemplateError

    try:
        before = _render(tokenizer, messages[:-1], tools, add_generation_prompt=True)
        whole = _render(tokenizer, messages, tools)
    except (TemplateError, ValueError, TypeError):
        return "chat template"
    if not whole.startswith(before):
        return "chat template"
    pieces = _pieces(whole[len(before) :], messages[-1])
    if pieces is None:
        return "chat template leaves reasoning out"
    encoded = encode((Piece(before, True, False), *pieces), tokenizer)
    if encoded is None:
        return "not text-exact"
    return labelled(*encoded)


def _render(tokenizer: Any, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any], **how: Any) -> str:
    given = [dict(message) for message in messages]
    return str(tokenizer.apply_chat_template(given, tools=list(tools) or None, tokenize=False, **how))


def _pieces(turn: str, answer: Mapping[str, Any]) -> list[Piece] | None:
    """The rendered answer in pieces; the template's words, the model's, by turns. None where a text is not in it."""
    pieces: list[Piece] = []
    for text in ((answer.get("reasoning_content") or "").strip(), (answer.get("content") or "").strip()):
        seam, found, turn = turn.partition(text) if text else ("", "", turn)
        if text and not found:
            return None
        pieces += [Piece(seam, True, True), Piece(found, False, True)]
    return [*pieces, Piece(turn.rstrip(), True, True)]
