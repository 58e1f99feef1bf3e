"""A statement and the evidence nearest to it as one row of token ids, as the encoder reads them.

    [CLS] statement [SEP] question [SEP] evidence, evidence, ... [SEP]

Training packs its rows through this too. Rules: the units that together say most of the statement come first, each
counted for what the ones before it did not say; a row has at most `LONGEST` tokens; text is only ever text: "[SEP]" in
it is five characters and no separator. It does not know scores or what the encoder makes of a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from guard.checks.grounding.passages import Index
from guard.checks.grounding.statement import Statement, content_of
from guard.errors import ConfigError, MissingExtra

LONGEST = 160
STATEMENT = 96
QUESTION = 20
"""Tokens of a row, and of its first two parts, at most."""
MOST_UNITS = 8
_CONSIDERED = 40
"""Units whose words are looked at closely; the others say less of the statement."""
_AGAIN = 0.25
"""What a word is worth that a unit before has said."""
_NEIGHBOURS, _NEIGHBOURS_LATER = 0.5, 0.2
"""What two words next to each other as in the statement add, in the first unit and in later ones."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A row. `offsets` are the characters of the statement's text that its tokens, from the second on, stand for."""

    ids: list[int]
    types: list[int]
    offsets: list[tuple[int, int]]


class Packer:
    """Packs rows with one tokenizer (a `tokenizer.json` of the BERT kind).

    Raises ConfigError where the file is no such thing, MissingExtra without the package `tokenizers`.
    """

    def __init__(self, path: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ModuleNotFoundError:
            raise MissingExtra("an encoder needs the extra 'encoder': pip install 'premise-guard[encoder]'") from None
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(path))
        except Exception as error:  # noqa: BLE001 - the package raises nothing narrower
            raise ConfigError(f"the tokenizer {str(path)!r} cannot be used: {str(error).splitlines()[0]}") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        first, between = (self._tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
        if first is None or between is None:
            raise ConfigError(f"the tokenizer {str(path)!r} has no [CLS] and [SEP]")
        self._first: int = first
        self._between: int = between

    def ids(self, text: str, most: int = LONGEST) -> list[int]:
        """The tokens of a text, at most so many."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids[:most])

    def pack(self, text: str, question: Sequence[int], evidence: Iterator[list[int]]) -> Pair:
        """One row of a statement, the question's tokens and evidence, the nearest first."""
        said = self._tokenizer.encode(text, add_special_tokens=False)
        statement = said.ids[:STATEMENT]
        first = [self._first, *statement, self._between]
        rest = [*question[:QUESTION], self._between]
        room = LONGEST - len(first) - len(rest) - 1
        for unit in evidence:
            rest += unit[:room]
            room -= len(unit)
            if room <= 0:
                break
        rest.append(self._between)
        return Pair([*first, *rest], [0] * len(first) + [1] * len(rest), said.offsets[:STATEMENT])


def nearest(said: Statement, index: Index, without: frozenset[int] = frozenset()) -> list[int]:
    """The numbers of the units that together say most of a statement, best first."""
    worth: dict[int, float] = {}
    for word, weight in said.weights.items():
        for unit in index.postings.get(word, ()):
            worth[unit] = worth.get(unit, 0.0) + weight
    left = _distinct(sorted((u for u in worth if u not in without), key=lambda u: (-worth[u], u)), index)
    pairs = set(pairwise(word.stem for word in said.words))
    beside = {unit: len(pairs.intersection(pairwise(_stems(index, unit)))) for unit in left}
    out: list[int] = []
    weights = dict(said.weights)
    while left and len(out) < MOST_UNITS:
        neighbours = _NEIGHBOURS_LATER if out else _NEIGHBOURS
        values = [_value(unit, index, weights, neighbours * beside[unit]) for unit in left]
        best = left.pop(values.index(max(values)))
        out.append(best)
        for word in content_of(index, best) & said.weights.keys():
            weights[word] = _AGAIN * said.weights[word]
    return out


def _value(unit: int, index: Index, weights: Mapping[str, float], more: float) -> float:
    content = content_of(index, unit)
    return (sum(weights[word] for word in weights if word in content) + more) / (1 + 0.01 * len(_stems(index, unit)))


def _distinct(units: Iterable[int], index: Index) -> list[int]:
    """The first units to consider; passages often say the same sentence twice."""
    found = {tuple(_stems(index, unit)): unit for unit in reversed(list(islice(units, 2 * _CONSIDERED)))}
    return list(found.values())[::-1][:_CONSIDERED]


def _stems(index: Index, unit: int) -> list[str]:
    found = index.units[unit]
    return found.stems if found is not None else []
