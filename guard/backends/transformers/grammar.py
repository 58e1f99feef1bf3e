"""From a JSON schema to an automaton over a model's tokens.

Knows outlines (`outlines_core`: schema -> expression -> states over the vocabulary) and bytes. Does not know logits,
requests or how far an answer is. Its rules:

1. What is written up to an end is JSON of the schema as outlines understands it: types, `enum`, `required`, nesting,
   patterns. Bounds on numbers and `uniqueItems` are not kept: whoever asked validates again.
2. `maxLength` of a long string costs outlines a state for each character and each token of the vocabulary. Where all
   strings of a schema share one bound of `LONG` or more, it is left to whoever walks the automaton (`longest`).

A schema of five fields over a made vocabulary of 150,000 tokens takes 0.3 s to compile and has 154 states with 470,000
transitions (one core of a small cloud machine). What is compiled is kept.
"""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import torch

from guard.backends.transformers.vocabulary import Vocabulary
from guard.errors import RequestError

LONG = 64
"""Characters from which a shared `maxLength` is counted."""

KEPT = 8
"""Grammars that are kept compiled."""

LARGEST = 50_000
"""Characters of a schema's expression; a longer one would keep the machine busy for minutes."""


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


class Grammars:
    """Compiles schemas for one vocabulary; `ends` are the model's end tokens, `size` that of its logits."""

    def __init__(self, vocabulary: Vocabulary, ends: Collection[int], size: int) -> None:
        self._vocabulary = vocabulary
        self._ends = ends
        self._size = size
        self._spelled: dict[int, bytes] = {}
        self._lengths = torch.zeros(size, dtype=torch.long)
        self._quoted = torch.zeros(size, dtype=torch.bool)
        self._tokens: Any = None
        self._compiled = lru_cache(maxsize=KEPT)(self._compile)

    def grammar(self, schema: str) -> Grammar:
        """The grammar of a JSON schema (its text). Takes a while the first time. Raises RequestError, 400."""
        return self._compiled(schema)

    def _compile(self, schema: str) -> Grammar:
        core = _core()
        try:
            bare, longest = _unbounded(json.loads(schema))
            expression = core.json_schema.build_regex_from_schema(json.dumps(bare))
            if len(expression) > LARGEST:
                raise ValueError(f"its expression is longer than {LARGEST} characters")
            index = core.Index(expression, self._words(core))
        except (ValueError, TypeError, RuntimeError, OverflowError) as error:
            raise _refused(str(error)) from None
        moves = index.get_transitions()
        for after in moves.values():
            after.pop(min(self._ends), None)
        return Grammar(
            moves,
            index.get_initial_state(),
            index.get_final_states(),
            ends=self._ends,
            spelled=self._spelled,
            lengths=self._lengths,
            quoted=self._quoted,
            longest=longest,
        )

    def _words(self, core: Any) -> Any:
        if self._tokens is None:
            known = ((id, self._vocabulary.bytes(id)) for id in range(self._size) if id not in self._ends)
            self._spelled = {id: spelled for id, spelled in known if spelled}
            for id, text in self._spelled.items():
                self._lengths[id] = sum(byte & 0xC0 != 0x80 for byte in text) + text.endswith(b"\\")
                self._quoted[id] = b'"' in text
            words: dict[bytes, list[int]] = {}
            for id, spelled in self._spelled.items():
                words.setdefault(spelled, []).append(id)
            self._tokens = core.Vocabulary(min(self._ends), words)
        return self._tokens


def _core() -> Any:
    try:
        return importlib.import_module("outlines_core")
    except ModuleNotFoundError:
        raise _refused("the engine for it is not installed: pip install 'premise-guard[local]'") from None


def _refused(why: str) -> RequestError:
    what = f"response_format: this schema cannot be kept ({' '.join(why.split())[:200]})"
    return RequestError(f"{what}; leave it out or make it simpler", param="response_format", code="unsupported_schema")


def _unbounded(schema: Any) -> tuple[Any, int | None]:
    """The schema without its `maxLength` and that bound, where rule 2 holds; else the schema as it is."""
    bounds = set[Any]()

    def bare(part: Any) -> Any:
        if isinstance(part, list):
            return [bare(each) for each in part]
        if not isinstance(part, dict):
            return part
        if part.get("type") == "string" and not {"enum", "const", "pattern", "format"} & part.keys():
            bounds.add(part.get("maxLength"))
            part = {key: value for key, value in part.items() if key != "maxLength"}
        return {key: bare(value) for key, value in part.items()}

    stripped = bare(schema)
    only = next(iter(bounds)) if len(bounds) == 1 else None
    return (stripped, only) if type(only) is int and only >= LONG else (schema, None)


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
