"""Rows of plain text, and what a trainer would make of them.

TRL's DPO and KTO trainers put an end-of-sequence token behind a completion. They let the tokenizer add its start token,
so the template's own is left out of the prompt. They read control tokens wherever they are spelt, and split the text
where the tokens of the prompt and of the whole part. So a row is written only if its tokens decode to its text, those
of the prompt are a prefix, and neither a model nor guard spelt a control token.

Knows Hugging Face tokenizers and turns; knows nothing of records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from guard.targets.example import Turn
from guard.targets.rendering import render
from guard.targets.rows import joined_text, target_pieces
from guard.targets.tokens import spells


def plain(turns: Sequence[Turn], tokenizer: Any) -> tuple[str, list[str]] | str:
    """The prompt that turns share and the completion of each, as columns of text; or why they would not be read as they
    are meant. The turns differ in their targets alone."""
    rendered = [render(turn, tokenizer) for turn in turns]
    first = rendered[0]
    if first is None or any(other is None or other.prompt != first.prompt for other in rendered):
        return "chat template"
    prompt = _without_start(first.prompt, tokenizer)
    told = [joined_text(target_pieces(turn.target, way)) for turn, way in zip(turns, rendered, strict=True) if way]
    if any(spells_control((turn.open_text, *turn.target.texts), tokenizer) for turn in turns):
        return "control token in the text"
    return _misread(prompt, told, tokenizer) or (prompt, told)


def _without_start(prompt: str, tokenizer: Any) -> str:
    """The prompt without the start token that the tokenizer adds by itself."""
    start = tokenizer.bos_token
    adds = start is not None and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    return prompt.removeprefix(start) if adds else prompt


def spells_control(texts: Iterable[str], tokenizer: Any) -> bool:
    """Whether what a model or guard wrote spells one of the tokenizer's control tokens."""
    control = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return any(token in text for text in texts for token in control)


def _misread(prompt: str, completions: Iterable[str], tokenizer: Any) -> str:
    """Why TRL's tokens of the row would not be its text in two parts; "" if they are."""
    start, end = tokenizer.bos_token or "", tokenizer.eos_token or ""
    try:
        asked_ids = tokenizer(prompt)["input_ids"]
        for completion in completions:
            text = prompt + completion.removesuffix(end) + end
            ids = tokenizer(text)["input_ids"]
            if not (spells(ids, text, tokenizer) or spells(ids, start + text, tokenizer)):
                return "not text-exact"
            if ids[: len(asked_ids)] != asked_ids:
                return "tokens merge"
    except (UnicodeError, TypeError):
        return "not text-exact"  # a lone surrogate, which no tokenizer takes
    return ""
