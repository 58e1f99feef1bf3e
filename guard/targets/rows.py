"""The parts that rows of several formats share: where a row comes from, its spans, its pieces.

A column has one type in every row, whatever clients sent, since that is how `datasets` reads a file: tools and other
nested values stand as JSON text, which TRL reads as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from guard.core.records import InterruptionRecord, Provenance
from guard.targets.example import Example, Open, Turn
from guard.targets.rendering import Rendered, render
from guard.targets.tokens import Piece, encode, labelled
from guard.targets.wording import Target


class Stretch(NamedTuple):
    """A piece of the assistant's turn: who wrote it (`kind`), and whether it is a target."""

    channel: Open
    text: str
    kind: str
    trained: bool


def origin(record: InterruptionRecord) -> dict[str, Any]:
    """The columns that say where a row comes from. `mistake`: its kind in a reviewer's words, or ""."""
    cut = record.interruption
    return {
        "id": cut.id,
        "version": record.version,
        "channel": cut.claim.channel,
        "check": cut.check,
        "correct": cut.correct,
        "late": cut.late,
        "review": record.review,
        "known": record.known,
        "mistake": record.revised.label if record.revised else "",
    } | served(record.provenance)


def served(source: Provenance) -> dict[str, Any]:
    """The columns that say how a conversation was served."""
    return {
        "conversation": source.conversation,
        "model": source.policy_model,
        "policy": source.policy,
        "policy_hash": source.policy_hash,
    }


def asked(turn: Turn) -> dict[str, Any]:
    """The columns of the conversation before the turn: `messages`, and `tools` as JSON text or None."""
    return {"messages": told(turn.messages), "tools": as_text(turn.source.tools or None)}


def told(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages with every value as text or None, but for `tool_calls`, whose arguments are."""
    return [_told(message) for message in messages]


def _told(message: Mapping[str, Any]) -> dict[str, Any]:
    flat = {key: as_text(value) for key, value in message.items() if key != "tool_calls"}
    calls = message.get("tool_calls")
    if not isinstance(calls, (list, tuple)) or not calls:
        return flat
    return flat | {"tool_calls": [_call(call) for call in calls if isinstance(call, Mapping)]}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    made = call.get("function")
    function = made if isinstance(made, Mapping) else {}
    named = {"name": as_text(function.get("name")), "arguments": as_text(function.get("arguments"))}
    return {"id": as_text(call.get("id")), "type": as_text(call.get("type", "function")), "function": named}


def as_text(value: Any) -> str | None:
    """A value of JSON as a column of text holds it: text and None as they are, all else written out."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def spanned(stretches: Iterable[Stretch]) -> dict[str, Any]:
    """The turn as `assistant` {reasoning, content} with `spans` over it ({channel, start, end, kind, train};
    characters)."""
    turn = {"reasoning": "", "content": ""}
    spans = []
    for channel, text, kind, trained in stretches:
        start, end = len(turn[channel]), len(turn[channel]) + len(text)
        turn[channel] += text
        if text:
            spans.append({"channel": channel, "start": start, "end": end, "kind": kind, "train": int(trained)})
    return {"assistant": turn, "spans": spans}


def before_claim(turn: Turn) -> list[Stretch]:
    """The open turn up to the claim, as context."""
    kept = [Stretch("reasoning", turn.reasoning, "context", False)]
    return kept if turn.thinking else [*kept, Stretch("content", turn.content, "context", False)]


def through_claim(example: Example) -> list[Stretch]:
    """The open turn that ends in the claim, as context."""
    claim = example.record.interruption.claim.text
    *before, last = before_claim(example)
    kept = last._replace(text=last.text.removesuffix(claim))
    return [*before, kept, Stretch(example.channel, claim, "confabulated", False)]


def of_target(channel: Open, target: Target) -> list[Stretch]:
    """What is to be learnt."""
    return [
        Stretch(channel, target.put_in, "injected", True),
        Stretch(channel, target.followed, "continuation", True),
        Stretch("content", target.answer, "continuation", True),
    ]


def context_pieces(turn: Turn, rendered: Rendered) -> tuple[Piece, Piece]:
    """The prompt: what the template wrote, and the open text."""
    scaffold = rendered.prompt.removesuffix(turn.open_text)
    return Piece(scaffold, True, False), Piece(turn.open_text, False, False)


def target_pieces(target: Target, rendered: Rendered) -> tuple[Piece, Piece, Piece, Piece, Piece]:
    """The target: guard's text, what followed, the reasoning's close, the answer, the turn's end."""
    return (
        Piece(target.put_in, False, True),
        Piece(target.followed, False, True),
        Piece(rendered.close if target.answer else "", True, True),
        Piece(target.answer, False, True),
        Piece(rendered.end if target.end else "", True, True),
    )


def token_row(turn: Turn, tokenizer: Any) -> dict[str, Any] | str:
    """The columns of a tokenised row: `prompt` and `completion` as text, and those of `tokens.labelled`; or why there
    are none."""
    rendered = render(turn, tokenizer)
    if rendered is None:
        return "chat template"
    wanted = target_pieces(turn.target, rendered)
    tokens = encode((*context_pieces(turn, rendered), *wanted), tokenizer)
    if tokens is None:
        return "not text-exact"
    return {"prompt": rendered.prompt, "completion": joined_text(wanted)} | labelled(*tokens)


def joined_text(pieces: Sequence[Piece]) -> str:
    """The pieces' text."""
    return "".join(piece.text for piece in pieces)
