"""The formulas of a text for `guard.checks.arithmetic`: its LaTeX, as chains of members between relations.

It does not know what a member is worth. A formula is what stands between $...$, $$...$$, \\(...\\) or \\[...\\]; where
the text ends before the formula does, the rest of the text; and a text without words, which may be a line of a longer
one. A chain ends at a comma, a semicolon, a line, an arrow or
words; "= ..." on the next line goes on with it. Linear in the length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon eta theta vartheta iota kappa lambda mu nu xi rho sigma tau phi varphi "
    "chi psi omega zeta Delta ell".split()
)
MAX_FORMULA = 4000
"""Characters of a formula that are looked at."""

_DELIMITER = re.compile(r"\\[()\[\]]|\$\$?")
_WORDS = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2}")
_CLOSING = {"\\(": "\\)", "\\[": "\\]", "$": "$", "$$": "$$"}
_SYMBOL = re.compile(
    r"""
      (?P<skip>\s+|&|~|\\(?:left|right|[bB]igg?[lr]?|displaystyle)(?![a-zA-Z])|\\[,:;!\ ]|\\\\\s{0,8}&?\s{0,8}(?==))
    | (?P<number>[0-9]{1,3}(?:(?:,|\{,\}|\\,)[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)
    | (?P<letter>[a-zA-Z])
    | (?P<command>\\[a-zA-Z]+)
    | (?P<end>\\\\|[,;⇒→∴]|\.(?=\s|\Z))
    | (?P<other>\\.|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SPELLED = {"times": "*", "cdot": "*", "ast": "*", "×": "*", "·": "*", "⋅": "*", "−": "-", "–": "-"}
_ENDS = frozenset(
    "quad qquad implies Rightarrow Longrightarrow iff Leftrightarrow to rightarrow text textbf textit mathrm begin end "
    "therefore tag label newline hspace".split()
)
_RELATIONS = frozenset(
    "= < > ≤ ≥ ≠ ≈ ~ le leq ge geq ne neq approx sim simeq cong equiv in lt gt mid leqslant geqslant propto".split()
)


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol: a `number`, `letter` (Greek too), `command`, `end` or `other` with its text in one spelling."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Member:
    """What stands between two relations, and the one before it ("" at the beginning). Characters of the text."""

    relation: str
    symbols: tuple[Symbol, ...]

    @property
    def start(self) -> int:
        """Where it begins."""
        return self.symbols[0].start

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.symbols[-1].end


def is_formula(text: str, start: int, end: int) -> bool:
    """Whether these characters stand in one formula that is marked as such."""
    marked = _DELIMITER.search(text) is not None
    return marked and any(first <= start and end <= last for first, last in _formulas(text))


def chains(text: str, most: int) -> Iterator[tuple[Member, ...]]:
    """The chains of at least two members with something in each, as long as there are not more than `most` members."""
    for start, stop in _formulas(text):
        for chain in _chains(_symbols(text, start, stop)):
            if len(chain) > 1 and all(member.symbols for member in chain):
                most -= len(chain)
                if most < 0:
                    return
                yield chain


def _formulas(text: str) -> Iterator[tuple[int, int]]:
    if not _DELIMITER.search(text):
        if not _WORDS.search(text):
            yield 0, min(len(text), MAX_FORMULA)
        return
    opening: re.Match[str] | None = None
    for found in _DELIMITER.finditer(text):
        if opening is None:
            opening = found if found[0] in _CLOSING else None
        elif found[0] == _CLOSING[opening[0]]:
            yield opening.end(), min(found.start(), opening.end() + MAX_FORMULA)
            opening = None
    # A dollar that nothing closes is money.
    if opening is not None and opening[0] != "$":
        yield opening.end(), min(len(text), opening.end() + MAX_FORMULA)


def _symbols(text: str, start: int, stop: int) -> Iterator[Symbol]:
    for found in _SYMBOL.finditer(text, start, stop):
        kind, written = found.lastgroup or "other", found[0].lstrip("\\")
        if kind == "skip":
            continue
        if kind == "number":
            written = re.sub(r"[^0-9.]", "", written)
        elif kind == "command":
            kind = "letter" if written in GREEK else "end" if written in _ENDS else kind
        elif found[0][0] == "\\":  # \{ and \| are no brackets of a formula
            written = found[0]
        yield Symbol(kind, _SPELLED.get(written, written), found.start(), found.end())


def _chains(symbols: Iterator[Symbol]) -> Iterator[tuple[Member, ...]]:
    chain: list[Member] = []
    relation, member, depth = "", list[Symbol](), 0
    for symbol in symbols:
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(symbol.text, 0)
        if depth <= 0 and symbol.kind == "end":
            yield (*chain, Member(relation, tuple(member)))
            chain, relation, member, depth = [], "", [], 0
        elif depth == 0 and symbol.text in _RELATIONS:
            chain.append(Member(relation, tuple(member)))
            relation, member = symbol.text, []
        else:
            member.append(symbol)
    yield (*chain, Member(relation, tuple(member)))
