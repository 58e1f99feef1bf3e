"""Rows to fine-tune on, as token ids with labels: JSON lines, read and checked.

Four shapes, told apart by their fields:

- tokens: `input_ids` with `labels` (-100: context) or with `completion_mask` (1: target), as `guard export
  prompt_completion --tokenizer` writes them. Taken as they are.
- chat: `messages`, or `prompt` and `completion` as lists of messages, and `tools` where they were given; rendered with
  the model's chat template. The last turn is the target, everything before it is context.
- `prompt` and `completion` as text; the completion is the target.
- `text`: all of it is a target. An end token is put behind it, and a text longer than the limit is cut into several
  rows; rows of the other shapes are never cut, since what is cut off is the end, and the end is what is to be learnt.

Other fields are left alone. A bad row is a ConfigError that names file and line. Knows tokenizers, no models.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.errors import ConfigError

IGNORED = -100
"""The label of a token that is context."""

_SAID = ("content", "reasoning_content", "reasoning", "thinking", "tool_calls")
"""Fields of a turn that there is something to learn in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """`ids` and `labels`, one label a token: the id itself where it is a target, else IGNORED."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def border(self) -> int:
        """Where the first target is."""
        return next(at for at, label in enumerate(self.labels) if label != IGNORED)

    @property
    def targets(self) -> int:
        """How many tokens are learnt."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What was read: the rows that fit, and how many did not."""

    rows: tuple[TokenRow, ...]
    too_long: int


def read_rows(files: Sequence[Path], tokenizer: Any, limit: int | None, *, tokens_only: bool = False) -> Read:
    """All rows of the files, in order, that have at most `limit` tokens; `tokens_only` takes no other shape, and only
    rows that begin with context.

    Raises:
        ConfigError: no such file, a bad row, another tokenizer's row, or no row that fits.
    """
    rows: list[TokenRow] = []
    too_long = 0
    for where, told in lines(files):
        if tokens_only and "input_ids" not in told:
            raise ConfigError(f"{where} has no `input_ids`: export the rows with --tokenizer")
        for row in _rows(told, where, tokenizer, limit, tokens_only):
            fits = limit is None or len(row.ids) <= limit
            rows += [row] if fits else []
            too_long += not fits
    if not rows:
        why = f"all {too_long} rows are longer than --max-length {limit}" if too_long else "there are no rows"
        raise ConfigError(f"{', '.join(map(str, files))!r}: {why}")
    return Read(rows=tuple(rows), too_long=too_long)


def lines(files: Sequence[Path]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(where it stands, the object) of every line of the files. Raises ConfigError."""
    for path in files:
        try:
            with path.open(encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        where = f"{str(path)!r}, line {number}"
                        yield where, _object(line, where)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{str(path)!r} cannot be read: {error}") from None


def token_row(told: Mapping[str, Any], where: str, tokenizer: Any, *, context: bool) -> TokenRow:
    """A row of the tokens' shape; with `context` it must begin with some. Raises ConfigError where it is none, or
    another tokenizer's."""
    ids = integers(told["input_ids"], "input_ids", where)
    labels = _labels(told, ids, where)
    if any(label not in (id, IGNORED) for id, label in zip(ids, labels, strict=True)):
        raise ConfigError(f"{where}: a label is neither its token nor {IGNORED}")
    row = TokenRow(ids=ids, labels=labels)
    # The first token is predicted from nothing: a target there alone teaches nothing.
    if all(label == IGNORED for label in labels[1:]) or (context and row.border == 0):
        raise ConfigError(f"{where}: a row needs {'context and ' if context else ''}at least one token to learn")
    _same_tokenizer(told, ids, where, tokenizer)
    return row


def integers(value: Any, name: str, where: str) -> tuple[int, ...]:
    """A list of whole numbers. Raises ConfigError."""
    if not isinstance(value, list) or not all(type(item) is int for item in value):
        raise ConfigError(f"{where}: `{name}` is no list of whole numbers")
    return tuple(value)


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is not JSON: {error}") from None
    if not isinstance(told, dict):
        raise ConfigError(f"{where} is no JSON object")
    return told


def _rows(told: Mapping[str, Any], where: str, tokenizer: Any, limit: int | None, context: bool) -> list[TokenRow]:
    prompt, completion = told.get("prompt"), told.get("completion")
    if "input_ids" in told:
        return [token_row(told, where, tokenizer, context=context)]
    if isinstance(told.get("messages"), list):
        return [_chat(told["messages"], told.get("tools"), where, tokenizer)]
    if isinstance(prompt, list) and isinstance(completion, list):
        return [_chat([*prompt, *completion], told.get("tools"), where, tokenizer)]
    if isinstance(prompt, str) and isinstance(completion, str):
        return [_halves(prompt, completion, where, tokenizer)]
    if isinstance(told.get("text"), str):
        return _text(told["text"], where, tokenizer, limit)
    raise ConfigError(f"{where}: a row needs `input_ids`, `messages`, `prompt` and `completion`, or `text`")


def _labels(told: Mapping[str, Any], ids: Sequence[int], where: str) -> tuple[int, ...]:
    name = "labels" if "labels" in told else "completion_mask"
    if name not in told:
        raise ConfigError(f"{where}: `input_ids` need `labels` or `completion_mask`")
    found = integers(told[name], name, where)
    if len(found) != len(ids):
        raise ConfigError(f"{where}: {len(ids)} `input_ids` and {len(found)} `{name}`")
    if name == "labels":
        return found
    return tuple(id if learnt else IGNORED for id, learnt in zip(ids, found, strict=True))


def _same_tokenizer(told: Mapping[str, Any], ids: Sequence[int], where: str, tokenizer: Any) -> None:
    prompt, completion = told.get("prompt"), told.get("completion")
    same = min(ids) >= 0 and max(ids) < len(tokenizer)
    if same and isinstance(prompt, str) and isinstance(completion, str):
        text = prompt + completion
        spelt = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        same = spelt in (text, unicodedata.normalize("NFC", text))
    if not same:
        raise ConfigError(f"{where} was made with another tokenizer: export again with this model's as --tokenizer")


def _chat(messages: list[Any], tools: Any, where: str, tokenizer: Any) -> TokenRow:
    """The conversation with its last turn as the target."""
    from jinja2 import TemplateError

    if not all(isinstance(message, dict) for message in messages):
        raise ConfigError(f"{where}: a message is no JSON object")
    if not messages or messages[-1].get("role") != "assistant":
        raise ConfigError(f"{where}: the last message must be the assistant's, it is what is learnt")
    if not any(messages[-1].get(name) for name in _SAID):
        raise ConfigError(f"{where}: the last message says nothing: it needs one of {', '.join(_SAID)}")
    if not getattr(tokenizer, "chat_template", None):
        raise ConfigError(f"{where}: chat rows need a chat template, and this model's tokenizer has none")
    try:
        how = {"tools": tools or None, "tokenize": False}
        whole = tokenizer.apply_chat_template(messages, **how)
        asked = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, **how)
        if not whole.startswith(asked):
            # Some generation prompts open what a finished turn has not.
            asked = tokenizer.apply_chat_template(messages[:-1], **how)
    except (TemplateError, ValueError, TypeError) as error:
        raise ConfigError(f"{where}: the chat template refuses it: {error}") from None
    if not whole.startswith(asked):
        raise ConfigError(f"{where}: the chat template writes the conversation differently before its last turn")
    return _halves(asked, whole.removeprefix(asked), where, tokenizer)


def _halves(prompt: str, completion: str, where: str, tokenizer: Any) -> TokenRow:
    """Context and target, encoded apart, so that no token is both."""
    context, target = (tuple(_encoded(text, tokenizer)) for text in (prompt, completion))
    if not context or not target:
        raise ConfigError(f"{where}: a row needs context and at least one token to learn")
    return TokenRow(ids=context + target, labels=(IGNORED,) * len(context) + target)


def _text(text: str, where: str, tokenizer: Any, limit: int | None) -> list[TokenRow]:
    ids = _encoded(text, tokenizer)
    end = tokenizer.eos_token_id
    ids += [end] if end is not None and ids[-1:] != [end] else []
    size = limit or len(ids)
    parts = [tuple(ids[at : at + size]) for at in range(0, len(ids), size)]
    # From a single token nothing is predicted.
    rows = [TokenRow(ids=part, labels=part) for part in parts if len(part) > 1]
    if not rows:
        raise ConfigError(f"{where}: there is nothing to learn from an empty text")
    return rows


def _encoded(text: str, tokenizer: Any) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
