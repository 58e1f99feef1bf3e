"""OpenAI's fine-tuning chats: the wrong part and the correction as assistant messages of their own, weighed 0 and 1.

Knows interruption records; knows no tokenizer, store or files. Rules:

- `weight` 1 is the correction's alone: every assistant message before it, of this and of earlier turns, has weight 0,
  since the service trains on all that has none.
- A row has the keys that the service takes and no others: it does not say where it comes from. `tools` stands in rows
  whose request had some, as the client sent them.
- The format has no place for reasoning. A claim in the reasoning gives no row; before a claim in the content the
  reasoning is left out.
- The service ends every message, so only turns that reached their end give a row, and the space that the correction
  began with is dropped.
- A retraction is worded as an interruption, as in `prompt_completion`.
- What cannot become a row is counted in `skipped`, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from guard.core.policy import Policy
from guard.core.records import InterruptionRecord
from guard.exporters import Row
from guard.targets.example import Example, build
from guard.targets.rows import told
from guard.targets.selection import counted, select

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_KEYS = ("role", "content", "name", "tool_calls", "tool_call_id")


class OpenAI:
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
        """One row a record, in order: `messages`, the last of them the correction, and `tools` where there are some.
        The service renders them itself, so a tokenizer changes nothing."""
        del tokenizer
        yield from counted((self._row(record) for record in records), skipped)

    def _row(self, record: InterruptionRecord) -> dict[str, Any] | str:
        if record.interruption.claim.channel == "reasoning":
            return "claim in the reasoning"
        example = build(record, self._policy)
        if isinstance(example, str):
            return example
        if not example.target.end:
            return "turn not complete"
        return _chat(example)


plugin = OpenAI()


def _chat(example: Example) -> dict[str, Any] | str:
    history = told(example.messages)
    if any(message.get("role") not in ROLES for message in history):
        return "role"
    wrong = {"role": "assistant", "content": example.content, "weight": 0}
    right = {"role": "assistant", "content": (example.target.put_in + example.target.followed).lstrip(), "weight": 1}
    tools = example.source.tools
    return {"messages": [*map(_context, history), wrong, right]} | ({"tools": tools} if tools else {})


def _context(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message before the turn, with what the service takes of it."""
    kept = {key: message[key] for key in _KEYS if message.get(key) is not None}
    if "content" not in kept and "tool_calls" not in kept:
        kept["content"] = ""
    return kept | {"weight": 0} if kept["role"] == "assistant" else kept
