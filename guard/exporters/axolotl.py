"""Axolotl's two ways to train on a part of a turn: segments of rendered text, and messages in parts.

Knows interruption records and, where one is given, the target model's tokenizer; knows neither store nor files. Rules:

- With a tokenizer, for `type: input_output`: `segments` of text, `label` true on what is learnt. Axolotl encodes each
  by itself and reads control tokens wherever they are spelt, so a row is written only if the tokens so made decode to
  its text and neither a model nor guard spelt a control token. The end of the turn is a target only where the
  continuation reached it.
- Without one, for `type: chat_template`: `messages` with their content, and reasoning, in parts, `train` true on what
  is learnt and false on all else, of assistant messages before the turn too. Axolotl ends the turn itself and learns
  its end, so only turns that reached theirs give a row; `train_on_eos: last` keeps it from learning the ends of those
  before, too. Of a function's `parameters` in `tools` it reads JSON text.
- A text is split before the space, as it was when the model was interrupted: "claim." and " No, ...".
- What cannot become a row is counted in `skipped`, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from guard.core.policy import Policy
from guard.core.records import InterruptionRecord
from guard.exporters import Row
from guard.targets.example import Example, build
from guard.targets.rendering import demand_template, render
from guard.targets.rows import as_text, context_pieces, of_target, origin, target_pieces, through_claim, told
from guard.targets.selection import counted, select
from guard.targets.texts import spells_control
from guard.targets.tokens import Piece, spells


class Axolotl:
    """The exporter. `policy` words what was never said."""

    def __init__(self, policy: Policy | None = None) -> None:
        self._policy = policy or Policy(name="default")

    def select(
        self, records: Iterable[InterruptionRecord], *, unreviewed: bool = False, trusted: Collection[str] = ()
    ) -> Iterator[InterruptionRecord]:
        """`guard.targets.selection.select`."""
        return select(records, unreviewed=unreviewed, trusted=trusted)

    def rows(
        self,
        records: Iterable[InterruptionRecord],
        *,
        tokenizer: Any | None = None,
        skipped: Counter[str] | None = None,
    ) -> Iterator[Row]:
        """One row a record, in order. Without a tokenizer: `messages` {role, content: [{type, text, train}],
        reasoning_content likewise, ...} and `tools`. With one: `segments` [{label, text}].

        Raises:
            ConfigError: the tokenizer has no chat template.
        """
        if tokenizer is not None:
            demand_template(tokenizer)
        yield from counted((self._row(record, tokenizer) for record in records), skipped)

    def _row(self, record: InterruptionRecord, tokenizer: Any | None) -> dict[str, Any] | str:
        example = build(record, self._policy)
        if isinstance(example, str):
            return example
        row = _messages(example) if tokenizer is None else _segments(example, tokenizer)
        about = origin(record) | {"synthesised": example.target.synthesised, "ended": example.target.end}
        return row if isinstance(row, str) else about | row


plugin = Axolotl()


def _segments(example: Example, tokenizer: Any) -> dict[str, Any] | str:
    rendered = render(example, tokenizer)
    if rendered is None:
        return "chat template"
    if spells_control((example.open_text, *example.target.texts), tokenizer):
        return "control token in the text"
    pieces = [*context_pieces(example, rendered), *target_pieces(example.target, rendered)]
    if not _exact(pieces, tokenizer):
        return "not text-exact"
    return {"segments": [{"label": piece.trained, "text": piece.text} for piece in pieces if piece.text]}


def _exact(pieces: Sequence[Piece], tokenizer: Any) -> bool:
    """Whether the tokens that Axolotl makes of the pieces are their text."""
    try:
        ids = [token for piece in pieces for token in tokenizer(piece.text, add_special_tokens=False)["input_ids"]]
        return spells(ids, "".join(piece.text for piece in pieces), tokenizer)
    except (UnicodeError, TypeError):
        return False  # a lone surrogate, which no tokenizer takes


def _messages(example: Example) -> dict[str, Any] | str:
    if not example.target.end:
        return "turn not complete"
    turn = [*through_claim(example), *of_target(example.channel, example.target)]
    last = {"role": "assistant"} | {
        key: [_part(stretch.text, stretch.trained) for stretch in turn if stretch.channel == channel and stretch.text]
        for key, channel in (("reasoning_content", "reasoning"), ("content", "content"))
    }
    return {"messages": [*map(_context, told(example.messages)), last], "tools": _tools(example.source.tools)}


def _context(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message before the turn. Its reasoning is left out, as most templates do."""
    kept = {key: value for key, value in message.items() if key not in ("reasoning_content", "reasoning")}
    return kept | {"content": [_part(message.get("content") or "", False)]}


def _part(text: str, trained: bool) -> dict[str, Any]:
    return {"type": "text", "text": text, "train": trained}


def _tools(tools: Any) -> list[dict[str, Any]] | None:
    """The tools, each function's `parameters` as JSON text: so a column of schemas has one type."""
    listed = [tool for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, (list, tuple)) else []
    made = [tool["function"] for tool in listed if isinstance(tool.get("function"), Mapping)]
    told = [{key: as_text(value) for key, value in function.items()} for function in made]
    return [{"type": "function", "function": function} for function in told] or None
