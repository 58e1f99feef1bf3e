"""Accounts of a model that notices its mistake and corrects itself, in the third person, to mix into pre-training.

Knows interruption records and, where one is given, a tokenizer; knows neither store nor files. Rules:

- *The claim is inside the text*, quoted as false: an account of a mistake has to name it. `spans` marks every place
  where it stands, and with a tokenizer the claim's tokens have the label -100. A trainer that reads `text` alone trains
  the claim too, as something that a model once said and took back.
- The question, the correction and what the model went on with are quoted as they are in the other formats; what guard
  put in is the model's own noticing there, and so here.
- The wording is drawn by the record's id: the same record always gives the same account.
- With a tokenizer a row is text-exact: its tokens decode to `text`. None ends it: packing puts its own separator.
- What cannot become a row is counted in `skipped`, by reason.
"""

from __future__ import annotations

import hashlib
import string
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from guard.core.policy import Policy
from guard.core.records import InterruptionRecord
from guard.exporters import Row
from guard.targets.example import Example, build
from guard.targets.repeats import places, repeats
from guard.targets.rows import origin
from guard.targets.selection import counted, select
from guard.targets.tokens import Piece, encode, labelled
from guard.targets.wording import does_not_know, words

LATER = (
    'Somebody put this to an assistant: "{question}" The assistant began well enough. Then, {where}, it put down: '
    '"{claim}"'
)
"""How one begins where something stands before the claim, and nothing in the turn was corrected yet."""

ASKED = (
    'A language model was asked: "{question}" {Where} it wrote: "{claim}"',
    LATER,
    'The question to the model was: "{question}" One of the sentences {where} read: "{claim}"',
    'Asked "{question}", an AI model wrote the following {where}: "{claim}"',
)
"""How an account begins. `where`: in the reasoning or in the answer."""

UNASKED = (
    'A language model was at work. {Where} it wrote: "{claim}"',
    'One of the sentences that an assistant put down {where} read: "{claim}"',
    '"{claim}" So an AI model wrote {where}.',
)
"""The same where no question is on record."""

FALSE = (
    'That was not true, and the model noticed. Instead of building on it, it stopped and wrote: "{message}"',
    'This was false, however sure it sounded. The model did not defend it. The next thing it wrote was: "{message}"',
    'The sentence was wrong. Having written it was no reason to believe it, so the model took it back: "{message}"',
    'It was a mistake, and the model caught it before it went any further. "{message}" it wrote.',
)
"""How the model notices that what it said is false."""

UNKNOWN = (
    'It had no ground for saying so, and noticed. It stopped and wrote: "{message}"',
    'This was a guess put as a fact. The model did not know, and said that it did not: "{message}"',
    'However sure it sounded, it was an invention. Rather than build on it, the model took it back: "{message}"',
)
"""How it notices that it does not know."""

WENT_ON = (
    'Then it went on: "{followed}"',
    'From there it continued: "{followed}"',
    'What it wrote next was: "{followed}"',
)

ANSWERED = (
    'Its answer was: "{answer}"',
    'In the end it answered: "{answer}"',
    'The answer it gave was this: "{answer}"',
)

_WHERE = {"reasoning": "in its reasoning", "content": "in its answer"}


class Documents:
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
        """One row a record, in order: `text` and `spans` over it ({start, end, kind: "claim"}; characters). With a
        tokenizer (it needs no chat template) also `input_ids`, `labels` (-100 on the claim and on the first token) and
        `completion_mask`."""
        yield from counted((self._row(record, tokenizer) for record in records), skipped)

    def _row(self, record: InterruptionRecord, tokenizer: Any | None) -> dict[str, Any] | str:
        example = build(record, self._policy)
        if isinstance(example, str):
            return example
        text, spans = _account(example)
        pieces = _pieces(text, spans)
        if any(repeats(record.interruption.claim.text, piece.text) for piece in pieces if piece.trained):
            return "claim cannot be marked"
        row = origin(record) | {"synthesised": example.target.synthesised, "text": text}
        row |= {"spans": [{"start": start, "end": end, "kind": "claim"} for start, end in spans]}
        if tokenizer is None:
            return row
        tokens = encode(pieces, tokenizer)
        if tokens is None:
            return "not text-exact"
        ids, mask = tokens
        return row | labelled(ids, [0, *mask[1:]])  # nothing stands before the first that could predict it


plugin = Documents()


def _account(example: Example) -> tuple[str, list[tuple[int, int]]]:
    """The account, and where the claim stands in it, in order and apart."""
    fields = _fields(example)
    text, found = "", []
    for literal, name, _, _ in string.Formatter().parse(" ".join(_sentences(example, fields))):
        text += literal
        quoted = fields[name] if name else ""
        if name == "claim":
            found.append((len(text), len(text) + len(quoted)))
        text += quoted
    return text, _merged([*found, *places(fields["claim"], text)])


def _fields(example: Example) -> dict[str, str]:
    where = _WHERE["reasoning" if example.thinking else "content"]
    target = example.target
    return {
        "question": _question(example.messages),
        "where": where,
        "Where": where[0].upper() + where[1:],
        "claim": example.record.interruption.claim.text.strip(),
        "message": target.put_in.strip(),
        "followed": target.followed.strip(),
        "answer": target.answer.strip(),
    }


def _sentences(example: Example, fields: Mapping[str, str]) -> Iterator[str]:
    """The wordings of this account."""
    cut = example.record.interruption
    yield _drawn(_openings(example) if fields["question"] else UNASKED, cut.id)
    corrected = words(example.record).correction and not does_not_know(example.record)
    yield _drawn(FALSE if corrected else UNKNOWN, cut.id)
    if fields["followed"]:
        yield _drawn(WENT_ON, cut.id)
    if fields["answer"]:
        yield _drawn(ANSWERED, cut.id)


def _openings(example: Example) -> Sequence[str]:
    cut = example.record.interruption
    began_well = cut.number == 1 and cut.kept.get(example.channel, "").strip()
    return ASKED if began_well else [wording for wording in ASKED if wording is not LATER]


def _drawn(wordings: Sequence[str], key: str) -> str:
    digest = hashlib.sha256(f"{wordings[0]}\n{key}".encode(errors="replace")).digest()
    return wordings[int.from_bytes(digest[:4], "big") % len(wordings)]


def _question(messages: Sequence[Mapping[str, Any]]) -> str:
    asked = [str(message["content"] or "") for message in messages if message.get("role") == "user"]
    return asked[-1].strip() if asked else ""


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            start, end = merged[-1][0], max(end, merged.pop()[1])
        merged.append((start, end))
    return merged


def _pieces(text: str, spans: Sequence[tuple[int, int]]) -> list[Piece]:
    pieces, at = [], 0
    for start, end in spans:
        pieces += [Piece(text[at:start], False, True), Piece(text[start:end], False, False)]
        at = end
    return [*pieces, Piece(text[at:], False, True)]
