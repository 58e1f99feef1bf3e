"""Which tokens may come next in an answer that is held to a JSON schema.

Knows an automaton over a model's tokens and JSON's strings. Does not know logits, requests, channels or schemas. Its
rules:

1. Only tokens come that the grammar lets through, and end tokens only where the text may end.
2. It ends in time. With few tokens left only those are let through from which an end is still in reach; where the limit
   was too short from the start, nothing helps and nothing is changed.
3. No string gets longer than the grammar's `longest`, counted in characters as they are written.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

import torch

from guard.backends.transformers.vocabulary import Vocabulary
from guard.errors import RequestError

_QUOTE, _ESCAPE = ord('"'), ord("\\")


class Grammar:
    """A schema's automaton. Never changed once it is built: any thread may use it.

    Args:
        moves: state -> {token id: next state}, without end tokens.
        finals: states in which the text may end.
        ends: the model's end tokens.
        spelled: bytes of a token id.
        lengths: by token id, characters (an escape that it opens included) [vocabulary].
        quoted: by token id, whether a quote is in it [vocabulary].
        longest: characters of any string, or None.
    """

    def __init__(
        self,
        moves: Mapping[int, Mapping[int, int]],
        start: int,
        finals: Collection[int],
        *,
        ends: Collection[int],
        spelled: Mapping[int, bytes],
        lengths: torch.Tensor,
        quoted: torch.Tensor,
        longest: int | None,
    ) -> None:
        self.moves = moves
        self.start = start
        self.longest = longest
        self.spelled = spelled
        self.lengths = lengths
        self.quoted = quoted
        self.steps = _steps(moves, finals)
        """Fewest tokens from a state to an end; a state from which there is none is missing."""
        self.farthest = max(self.steps.values(), default=0)
        after = {
            state: {t: self.steps[to] for t, to in moves.get(state, {}).items() if to in self.steps}
            | dict.fromkeys(ends if state in finals else (), -1)
            for state in self.steps
        }
        self._open = {state: torch.tensor(list(steps)) for state, steps in after.items()}
        self._after = {state: torch.tensor(list(steps.values())) for state, steps in after.items()}

    def tokens(self, state: int) -> torch.Tensor:
        """Every token that may come in a state [tokens], end tokens where the text may end."""
        return self._open[state]

    def after(self, state: int) -> torch.Tensor:
        """Fewest tokens from behind each of them to an end [tokens]; -1 for end tokens."""
        return self._after[state]


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


def _steps(moves: Mapping[int, Mapping[int, int]], finals: Collection[int]) -> dict[int, int]:
    """Breadth first, from the ends backwards."""
    back: dict[int, set[int]] = {}
    for state, after in moves.items():
        for to in set(after.values()):
            back.setdefault(to, set()).add(state)
    steps, front = dict.fromkeys(finals, 0), list(finals)
    for count in itertools.count(1):
        front = list({state for to in front for state in back.get(to, ()) if state not in steps})
        if not front:
            break
        steps |= dict.fromkeys(front, count)
    return steps


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
