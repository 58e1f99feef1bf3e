"""What a trainer would learn from a row of any format, read as its trainer reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from guard.targets.tokens import IGNORED


def learnt(row: Mapping[str, Any], tokenizer: Any = None) -> Iterator[str]:
    """The stretches of text that are targets."""
    if row.get("label") is False:
        return
    if "segments" in row:
        yield from _runs((part["text"], part["label"]) for part in row["segments"])
    elif "labels" in row and "input_ids" in row:
        pairs = zip(row["input_ids"], row["labels"], strict=True)
        for trained, run in groupby(pairs, key=lambda pair: pair[1] != IGNORED):
            if trained:
                yield str(tokenizer.decode([token for token, _ in run]))
    elif "chosen" in row:
        yield from [row["chosen"]] if isinstance(row["chosen"], str) else _of_spans(row["chosen"])
    elif "assistant" in row:
        yield from _of_spans(row)
    elif "text" in row:
        yield from _outside(row["text"], row["spans"])
    elif "completion" in row:
        yield row["completion"]
    else:
        for message in row["messages"]:
            yield from _of_message(message)


def _of_message(message: Mapping[str, Any]) -> Iterator[str]:
    """OpenAI trains an assistant message unless its weight is 0, Axolotl each part unless `train` is false."""
    if message["role"] != "assistant" or message.get("weight") == 0:
        return
    for field in ("reasoning_content", "content"):
        content = message.get(field) or ""
        parts = [{"text": content}] if isinstance(content, str) else content
        yield from _runs((part["text"], part.get("train", True)) for part in parts)


def _of_spans(turn: Mapping[str, Any]) -> Iterator[str]:
    for channel in ("reasoning", "content"):
        spans = [span for span in turn["spans"] if span["channel"] == channel]
        yield from _runs((turn["assistant"][channel][s["start"] : s["end"]], s["train"]) for s in spans)


def _outside(text: str, spans: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    at = 0
    for span in spans:
        yield text[at : span["start"]]
        at = span["end"]
    yield text[at:]


def unmarked(row: Mapping[str, Any]) -> list[str]:
    """What a row of `spans` says is right."""
    return list(_outside(row["response"], row["spans"]))


def _runs(parts: Any) -> Iterator[str]:
    for trained, run in groupby(parts, key=lambda part: bool(part[1])):
        if trained:
            yield "".join(text for text, _ in run)
