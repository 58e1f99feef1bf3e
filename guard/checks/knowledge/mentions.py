"""Which thing a cut-out of a sentence names, for `guard.checks.knowledge`, and whether the sentence claims anything.

Names are the longest run of words that some `known` says yes to. It does not know relations or truth.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from guard.checks.knowledge.facts import key_of, name_words
from guard.checks.knowledge.patterns import Anchor

MAX_NAME = 8
"""Words of a name."""
_BREAK = re.compile(r"[.;:!?()\[\]\n—\"“”]|,\s+(?=(?:and|but|so|which|who)\b)")
_STOP = re.compile(
    r"\b(?:and|but|or|nor|not|which|who|whom|whose|that|where|when|while|because|so|although|though|before|after|then"
    r"|since|until|if|as|is|was|are|were|has|had|by|on|at|from|with|near|for|during|under|around)\b",
    re.IGNORECASE,
)
_GENERIC = frozenset(
    "the a an city town village river country kingdom republic state land island sea ocean lake capital of called "
    "named famous great old small large beautiful region province".split(" ")
)
"""Words that may stand before a name without being part of it."""
_KINDS = frozenset(
    ["city", "town", "village", "river", "country", "kingdom", "republic", "state", "land", "island", "sea"]
)
_OTHER_HEAD = frozenset(
    ["by", "with", "from", "near", "to", "in", "at", "for", "about", "than", "like", "unlike", "beside"]
)
"""Behind these, a name belongs to something else, which the sentence is about ("a friend of Ada Velm was born")."""
_RELATIVE = re.compile(r"[,\s]+(?:who|which|that)[,\s]*$", re.IGNORECASE)
_PRONOUNS = frozenset(
    "he she it they we i you this that there here who what which these those his her someone nobody one".split(" ")
)
_TIMES = frozenset(
    "january february march april may june july august september october november december spring summer "
    "autumn winter monday tuesday wednesday thursday friday saturday sunday".split(" ")
)
_UNCLAIMED = re.compile(
    r"\b(?:if|whether|suppose|supposing|assume|assuming|imagine|imagining|unless|not|never|nobody|neither|no one"
    r"|\w+n['’]t|den(?:y|ies|ied)|doubts?|doubted|false|falsely|wrong|wrongly|untrue|incorrect|incorrectly|mistaken"
    r"|mistakenly|myth|rumou?rs?|contrary|instead of|rather than)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:is|was|are|were)(?:n['’]t| not)? (?:a |an )?(?:false|wrong|untrue|incorrect|myth|mistake\w*|error)\b"
    r"|\b(?:is|was)(?:n['’]t| not) (?:true|correct|right)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[.;!?\n]|,\s*(?:but|so)\b")


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in a sentence: its characters, and whether it is a known one."""

    text: str
    start: int
    end: int
    known: bool

    @property
    def words(self) -> int:
        """How many words it has."""
        return len(self.text.split())


def is_claimed(text: str, start: int, end: int) -> bool:
    """Whether what stands at `start`..`end` is claimed.

    Questions, conditions, denials and reports of error are not. "I think", "maybe" and "Bob says" are: who is told
    a falsehood with a shrug is told a falsehood.
    """
    if text.rstrip().endswith(("?", "？")):
        return False
    clause = max((match.end() for match in _CLAUSE.finditer(text, 0, start)), default=0)
    return not (_UNCLAIMED.search(text, clause, start) or _DENIED.search(text, end))


def known_mention(text: str, start: int, end: int, anchor: Anchor, known: Callable[[str], bool]) -> Mention | None:
    """The longest known name at the anchored end of ``text[start:end]``, or None."""
    if anchor == "end":
        relative = _RELATIVE.search(text, start, end)
        return _at_end(text, start, relative.start() if relative else end, known)
    return _at_start(text, start, end, anchor, known)


def _at_end(text: str, start: int, end: int, known: Callable[[str], bool]) -> Mention | None:
    words = name_words(text[start:end])[-MAX_NAME:]
    if not words or text[start + words[-1].end() : end].strip(" ,'’\"”*_"):
        return None
    spoken = [word[0] for word in words]
    for first in range(len(words)):
        if known(key_of(spoken[first:])):
            at = start + words[first].start()
            apart = first and text[start + words[first - 1].end() : at].strip()
            before = [] if apart else [word.lower() for word in spoken[:first]]
            return None if _belongs_elsewhere(before) else Mention(text[at:end].rstrip(" ,"), at, end, True)
    return None


def _belongs_elsewhere(before: list[str]) -> bool:
    while before and before[-1] in ("the", "a", "an"):
        before = before[:-1]
    if not before:
        return False
    if before[-1] == "of":
        return len(before) < 2 or before[-2] not in _KINDS
    return before[-1] in _OTHER_HEAD or before[-1].endswith(("'s", "’s"))


def _at_start(text: str, start: int, end: int, anchor: Anchor, known: Callable[[str], bool]) -> Mention | None:
    words = name_words(text[start:end])[: MAX_NAME + 3]
    spoken = [word[0] for word in words]
    for skipped in range(len(words)):
        if skipped and spoken[skipped - 1].lower() not in _GENERIC:
            return None
        for last in range(min(len(words), skipped + MAX_NAME), skipped, -1):
            if not known(key_of(spoken[skipped:last])):
                continue
            at, stop = start + words[skipped].start(), start + words[last - 1].end()
            rest = text[stop:end].lstrip("'’\"”*_ ")
            return Mention(text[at:stop], at, stop, True) if anchor == "start" or rest[:1] in ("", ",") else None
    return None


def phrase_end(text: str, start: int, end: int) -> int:
    """Where the noun phrase that begins at `start` ends at the latest."""
    found = [match.start() for pattern in (_BREAK, _STOP) if (match := pattern.search(text, start, end))]
    return min(found, default=end)


def unknown_mention(text: str, start: int, end: int, anchor: Anchor) -> Mention | None:
    """The words in the place of a name, where they can be one; None for pronouns, dates and nothing at all."""
    if anchor == "end":
        start = max((match.end() for match in _BREAK.finditer(text, start, end)), default=start)
        start = max((match.end() for match in _STOP.finditer(text, start, end)), default=start)
    else:
        end = phrase_end(text, start, end)
        comma = text.find(",", start, end)
        end = comma if comma >= 0 else end
    words = name_words(text[start:end])
    if not words or any(_is_no_name(word[0]) for word in words):
        return None
    at, stop = start + words[0].start(), start + words[-1].end()
    return Mention(text[at:stop], at, stop, False)


def _is_no_name(word: str) -> bool:
    return any(letter.isdigit() for letter in word) or word.lower() in _PRONOUNS or word.lower() in _TIMES


def is_proper(mention: Mention) -> bool:
    """Whether the name looks like one: its last word, and what is before it but for small words, is capitalised."""
    words = [word for word in mention.text.split() if word.lower() not in _GENERIC]
    return bool(words) and all(word[0].isupper() for word in words)
