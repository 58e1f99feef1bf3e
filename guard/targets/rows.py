"""The parts that rows of several formats share: where a row comes from, its spans, its pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from guard.core.records import InterruptionRecord
from guard.targets.example import Example, Open
from guard.targets.rendering import Rendered
from guard.targets.tokens import Piece
from guard.targets.wording import Target


class Stretch(NamedTuple):
    """A piece of the assistant's turn: who wrote it (`kind`), and whether it is a target."""

    channel: Open
    text: str
    kind: str
    trained: bool


def origin(record: InterruptionRecord) -> dict[str, Any]:
    """The columns that say where a row comes from."""
    cut, source = record.interruption, record.provenance
    return {
        "id": cut.id,
        "version": record.version,
        "channel": cut.claim.channel,
        "check": cut.check,
        "correct": cut.correct,
        "late": cut.late,
        "review": record.review,
        "known": record.known,
        "conversation": source.conversation,
        "model": source.policy_model,
        "policy": source.policy,
        "policy_hash": source.policy_hash,
    }


def asked(example: Example) -> dict[str, Any]:
    """The columns of the conversation before the turn."""
    return {"messages": list(example.messages), "tools": example.record.provenance.tools}


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


def before_claim(example: Example) -> list[Stretch]:
    """The open turn up to the claim, as context."""
    kept = [Stretch("reasoning", example.reasoning, "context", False)]
    return kept if example.thinking else [*kept, Stretch("content", example.content, "context", False)]


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


def context_pieces(example: Example, rendered: Rendered) -> tuple[Piece, Piece]:
    """The prompt: what the template wrote, and the open text."""
    scaffold = rendered.prompt.removesuffix(example.open_text)
    return Piece(scaffold, True, False), Piece(example.open_text, False, False)


def target_pieces(target: Target, rendered: Rendered) -> tuple[Piece, Piece, Piece, Piece, Piece]:
    """The target: guard's text, what followed, the reasoning's close, the answer, the turn's end."""
    return (
        Piece(target.put_in, False, True),
        Piece(target.followed, False, True),
        Piece(rendered.close if target.answer else "", True, True),
        Piece(target.answer, False, True),
        Piece(rendered.end if target.end else "", True, True),
    )


def joined_text(pieces: Sequence[Piece]) -> str:
    """The pieces' text."""
    return "".join(piece.text for piece in pieces)
