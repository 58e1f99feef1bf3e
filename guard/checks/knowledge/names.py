"""Whether two names may be names of one thing, for `guard.checks.knowledge`.

It does not know facts or sentences. Names are compared without case, accents, punctuation and articles. Rules:

1. Titles in front ("Ms.", "Prof. Dr.") and suffixes behind ("Jr.") do not count; nothing but those names nobody.
2. A name that holds the other one is the same ("the city of Brengate", a bare surname).
3. With one last word, an initial stands for a word ("J. Doe"), and words between may be left out ("Jane A. Doe").
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from guard.checks.knowledge.facts import name_key, words_of

TITLES = words_of(
    "mr mrs ms miss mx dr prof professor doctor sir dame lord lady rev reverend fr father hon st saint gen general col "
    "colonel capt captain lt lieutenant sgt sergeant maj major adm admiral cmdr commander pres president gov governor "
    "sen senator rep representative king queen prince princess emperor pope ing mag dipl herr frau mme mlle sra"
)
SUFFIXES = words_of("jr sr junior senior i ii iii iv v phd md mba esq esquire obe cbe mbe kbe frs ret")
_SPELLINGS = {"st": "saint", "mt": "mount", "ft": "fort"}


def may_be_same(said: str, right: str) -> bool:
    """Whether `said` may name what `right` names."""
    spoken, true = _words(said), _words(right)
    core = _core(spoken)
    if not core or _squashed(spoken) == _squashed(true) or _holds(spoken, true) or _holds(true, core):
        return True
    return _is_shortened(core, _core(true))


def may_become(said: str, right: str) -> bool:
    """Whether `right` may be what an unfinished `said` was to be."""
    true = _words(right)
    return any(_squashed(words).startswith(_squashed(_core(_words(said)))) for words in (true, _core(true)))


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name_key(name))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    words = plain.replace("-", " ").replace(".", " ").split()
    return [_SPELLINGS.get(word, word) for word in words if word != "and"]


def _core(words: Sequence[str]) -> list[str]:
    """The words without titles and suffixes."""
    first, last = 0, len(words)
    while first < last and words[first] in TITLES:
        first += 1
    while last > first + 1 and words[last - 1] in SUFFIXES:
        last -= 1
    return list(words[first:last])


def _squashed(words: Sequence[str]) -> str:
    return "".join(words)


def _holds(words: Sequence[str], part: Sequence[str]) -> bool:
    return f" {' '.join(part)} " in f" {' '.join(words)} "


def _is_shortened(said: Sequence[str], true: Sequence[str]) -> bool:
    if len(said) < 2 or len(true) < 2 or said[-1] != true[-1]:
        return False
    return _in_order(said[:-1], true[:-1]) or _in_order(true[:-1], said[:-1])


def _in_order(few: Sequence[str], many: Sequence[str]) -> bool:
    """Whether each of `few` stands among `many`, in this order, an initial for its word."""
    rest = iter(many)
    return all(any(_stands_for(one, other) for other in rest) for one in few)


def _stands_for(one: str, other: str) -> bool:
    short = min(one, other, key=len)
    return one == other or (len(short) == 1 and one[0] == other[0])
