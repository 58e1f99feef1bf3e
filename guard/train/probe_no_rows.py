"""Rows of the "No" probe: unfinished turns that end in a premise, right or wrong; from a file or from the log.

A line of a file has `wrong`, `subject` (rows of one subject are drawn together) and either `prompt`, a turn as the
model reads it up to and including the premise, or `messages` with `reasoning` (and `content`): the turn so far, which
is rendered with the model's own template. From the log, a confirmed interruption gives two rows: its claim, and its
correction in the claim's place.

Knows JSON, records and chat templates; does not know models. A template's own way to go on with a turn is taken where
it leaves the text as it is; else the generation prompt is gone on with by hand.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from guard.core.records import InterruptionRecord
from guard.core.resume import lead
from guard.errors import ConfigError
from guard.registry import first_error

_OPEN = "<think>"
_CLOSE = "</think>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A rendered text that ends in a premise, whether the premise is wrong, and whom or what it is about."""

    prompt: str
    wrong: bool
    subject: str


class Row(BaseModel):
    """A row before it is rendered; `prompt`, or `messages` with the turn so far."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    wrong: bool
    subject: str
    prompt: str | None = None
    messages: tuple[Mapping[str, Any], ...] | None = None
    reasoning: str = ""
    content: str = ""


def read_rows(path: Path) -> list[Row]:
    """All rows of a file. Raises ConfigError, one line, that names the line at fault."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error}") from None
    return [_row(line, f"{str(path)!r}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def _row(line: str, where: str) -> Row:
    try:
        row = Row.model_validate(json.loads(line))
    except ValidationError as error:
        raise ConfigError(f"{where}: {first_error(error)}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is not JSON: {error}") from None
    if (row.prompt is None) == (row.messages is None):
        raise ConfigError(f"{where}: a row has `prompt`, or `messages` with `reasoning` or `content`")
    if not (row.prompt or row.reasoning or row.content):
        raise ConfigError(f"{where}: there is no premise: put it into `reasoning`, `content` or the end of `prompt`")
    if row.messages is not None and _plain(row.messages) is None:
        raise ConfigError(f"{where}: `messages` need text contents, the last not the assistant's")
    return row


def logged(records: Iterable[InterruptionRecord], skipped: Counter[str]) -> Iterator[Row]:
    """The wrong and the right premise of every confirmed interruption; what gives none is counted in `skipped`."""
    for record in records:
        pair = _pair(record)
        if isinstance(pair, str):
            skipped[pair] += 1
        else:
            yield from pair


def save_rows(rows: Iterable[Row], path: Path) -> None:
    """Write rows to a new file, as `read_rows` reads them. Raises ConfigError: it is there, or cannot be written."""
    told = [json.dumps(row.model_dump(mode="json", exclude_defaults=True)) + "\n" for row in rows]
    try:
        with path.open("x", encoding="utf-8") as file:
            file.writelines(told)
    except FileExistsError:
        raise ConfigError(f"--save-rows {str(path)!r} is there already; name a new file") from None
    except OSError as error:
        raise ConfigError(f"--save-rows {str(path)!r} cannot be written: {error.strerror}") from None


def _pair(record: InterruptionRecord) -> tuple[Row, Row] | str:
    cut = record.interruption
    if record.review != "confirmed":
        return "not confirmed"
    if not cut.correction.strip() or not cut.claim.text.strip():
        return "no correction"
    messages = _plain(record.provenance.messages)
    if messages is None or record.provenance.route == "completions" or cut.claim.channel == "tool_calls":
        return "not a plain chat"
    right = lead(cut.claim.text) + cut.correction.strip()
    wrong_row, right_row = (
        Row(wrong=wrong, subject=_subject(record), messages=messages, **_turn(record, text))
        for wrong, text in ((True, cut.claim.text), (False, right))
    )
    return wrong_row, right_row


def _plain(messages: Any) -> tuple[Mapping[str, Any], ...] | None:
    """The messages, where all are text and the last is not an assistant's."""
    if not isinstance(messages, list | tuple) or not messages:
        return None
    plain = all(isinstance(m, Mapping) and isinstance(m.get("content"), str) for m in messages)
    return tuple(messages) if plain and messages[-1].get("role") != "assistant" else None


def _turn(record: InterruptionRecord, text: str) -> dict[str, str]:
    kept, channel = record.interruption.kept, record.interruption.claim.channel
    reasoning, content = kept.get("reasoning", ""), kept.get("content", "")
    if channel == "reasoning":
        return {"reasoning": reasoning + text}
    return {"reasoning": reasoning, "content": content + text}


def _subject(record: InterruptionRecord) -> str:
    subjects = (f.subject for verdict in record.interruption.verdicts for f in verdict.findings if f.subject)
    return next(subjects, record.provenance.conversation)


# Rendering


def probes(rows: Sequence[Row], tokenizer: Any, system: str = "") -> list[Probe]:
    """The rows as this model reads them, under a system prompt where one is given.

    Raises:
        ConfigError: a rendered row is to have a system prompt, or the tokenizer has no chat template, or one that
            refuses a row.
    """
    return [_probe(row, number, tokenizer, system) for number, row in enumerate(rows, 1)]


def _probe(row: Row, number: int, tokenizer: Any, system: str) -> Probe:
    prompt = row.prompt
    if prompt is not None and system:
        raise ConfigError(f"row {number} is rendered already: --system needs rows with `messages` and `reasoning`")
    if prompt is None:
        prompt = rendered(tokenizer, _under(row.messages or (), system), row.reasoning, row.content)
    if prompt is None:
        raise ConfigError(f"row {number}: the model's chat template cannot go on with this turn; give it as `prompt`")
    return Probe(prompt=prompt, wrong=row.wrong, subject=row.subject)


def _under(messages: Sequence[Mapping[str, Any]], system: str) -> list[Mapping[str, Any]]:
    """The messages under this system prompt, in front of one that they have."""
    if not system:
        return list(messages)
    if messages and messages[0].get("role") == "system":
        first = {**messages[0], "content": f"{system}\n\n{messages[0]['content']}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": system}, *messages]


def rendered(tokenizer: Any, messages: Sequence[Mapping[str, Any]], reasoning: str, content: str) -> str | None:
    """The conversation with the turn so far, as text that ends in it; None where the template takes neither way.

    The turn is in its reasoning where there is no `content` yet. Raises ConfigError without a chat template.
    """
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise ConfigError("the tokenizer has no chat template; give the rows rendered, as `prompt`")
    for way in (_continued, _begun):
        try:
            text = way(tokenizer, messages, reasoning, content)
        except (TemplateError, ValueError, TypeError):  # a template may refuse, or change the last message
            continue
        if text.endswith(content or reasoning) and reasoning.strip() in text:
            return text
    return None


def _continued(tokenizer: Any, messages: Sequence[Mapping[str, Any]], reasoning: str, content: str) -> str:
    turn = {"role": "assistant", "content": content, **({"reasoning_content": reasoning} if reasoning else {})}
    final = True if content else "reasoning_content"
    return str(tokenizer.apply_chat_template([*messages, turn], tokenize=False, continue_final_message=final))


def _begun(tokenizer: Any, messages: Sequence[Mapping[str, Any]], reasoning: str, content: str) -> str:
    text = str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True))
    if text.rstrip().endswith(_CLOSE) and reasoning:  # an empty block where the model did think
        text = text[: text.rindex(_OPEN)]
    thinks = text.rstrip().endswith(_OPEN)
    if reasoning:
        text += reasoning if thinks else f"{_OPEN}\n{reasoning}"
        thinks = True
    return text + (f"\n{_CLOSE}\n\n" if thinks and content else "") + content
