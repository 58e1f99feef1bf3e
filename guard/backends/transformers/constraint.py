"""Which tokens may come next in an answer that is held to a JSON schema.

Knows a grammar's states and JSON's strings. Does not know logits, requests or channels. Its rules:

1. Only tokens come that the grammar lets through, and end tokens only where the text may end.
2. It ends in time. With few tokens left only those are let through from which an end is still in reach; where the limit
   was too short from the start, nothing helps and nothing is changed.
3. No string gets longer than the grammar's `longest`, counted in characters as they are written.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from guard.backends.transformers.grammar import Grammar
from guard.backends.transformers.vocabulary import Vocabulary
from guard.errors import RequestError

_QUOTE, _ESCAPE = ord('"'), ord("\\")


class Constraint:
    """One answer on its way through a grammar, behind what `ids` spell. Not thread-safe."""

    def __init__(self, grammar: Grammar, ids: Sequence[int] = ()) -> None:
        self._grammar = grammar
        self._state = grammar.start
        self._string = _String()
        for id in ids:
            self.advance(id)

    def allowed(self, left: int) -> torch.Tensor:
        """Ids of the tokens that may come [tokens], never none; `left`: tokens that may be written, this one included.

        End tokens are among them where the text may end.
        """
        grammar = self._grammar
        tokens = grammar.tokens(self._state)
        if left < grammar.farthest + 2:  # an end, and the end token, must fit in behind it
            tokens = _some(tokens[grammar.after(self._state) + 2 <= left], tokens)
        if grammar.longest is not None:
            tokens = self._short(tokens, grammar.longest)
        return tokens

    def advance(self, id: int) -> None:
        """Take a token. Raises RequestError for one that does not fit."""
        after = self._grammar.moves.get(self._state, {}).get(id)
        if after not in self._grammar.steps:
            raise RequestError(
                "response_format: the unfinished answer does not fit the schema; begin it as the schema does",
                param="response_format",
            )
        self._state = after
        self._string = self._string.after(self._grammar.spelled[id])

    def _short(self, tokens: torch.Tensor, longest: int) -> torch.Tensor:
        """Those with which no string gets too long. Only tokens with a quote have to be looked into."""
        grammar, string = self._grammar, self._string
        fits = grammar.lengths[tokens] <= longest - string.count
        if bool(fits.all()):
            return tokens
        for at in (~fits & (grammar.quoted[tokens] | (not string.inside))).nonzero().flatten().tolist():
            fits[at] = string.after(grammar.spelled.get(int(tokens[at]), b"")).most <= longest
        return _some(tokens[fits], tokens)


def begun(grammar: Grammar, vocabulary: Vocabulary, text: str) -> Constraint:
    """A constraint behind text that stands already. Raises RequestError for text that does not fit."""
    return Constraint(grammar, vocabulary.plain(text) if text else ())


def _some(wanted: torch.Tensor, all_: torch.Tensor) -> torch.Tensor:
    return wanted if len(wanted) else all_


class _String:
    """How far into a JSON string the text is."""

    __slots__ = ("_escaped", "count", "inside", "most")

    def __init__(self, inside: bool = False, escaped: bool = False, count: int = 0) -> None:
        self.inside = inside
        self._escaped = escaped
        self.count = count
        self.most = count
        """The longest that a string got with the last bytes; an escape counts as what it is written with."""

    def after(self, text: bytes) -> _String:
        """The same with more text."""
        other = _String(self.inside, self._escaped, self.count)
        for byte in text:
            other._take(byte)
        return other

    def _take(self, byte: int) -> None:
        if self.inside and not self._escaped and byte == _QUOTE:
            self.inside, self.count = False, 0
        elif self.inside:
            self._escaped = not self._escaped and byte == _ESCAPE
            self.count += byte & 0xC0 != 0x80  # a character of several bytes counts once
            self.most = max(self.most, self.count + self._escaped)  # what is escaped is still to come
        elif byte == _QUOTE:
            self.inside = True
