"""Which thing a cut-out of a sentence names, for `guard.checks.knowledge`, and whether the sentence claims anything.

Names are the longest run of words that some `known` says yes to. It does not know relations or truth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from guard.checks.knowledge.facts import key_of, name_words, words_of
from guard.checks.knowledge.names import SUFFIXES, TITLES
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
_CLAUSE = re.compile(r"[.;!?\n]|,\s*(?:but|so|however|yet)\b")
_OFTEN = (
    r"(?:often|commonly|widely|sometimes|frequently|popularly|generally|usually|mistakenly|wrongly|incorrectly|long"
    r"|once|also|still|may|might|will|would|do|tend|to)\s+"
)
_ATTRIBUTED = re.compile(
    r"\b(?:"
    r"(?:many|most|some|several|countless|lots|plenty|people|folks|others|everyone|everybody|critics|students|tourists"
    r"|visitors|foreigners|you|one)\s+(?:(?!(?:I|we|know|knows)\b)[\w’'-]+\s+){0,5}?"
    r"(?:thinks?|thought|says?|said|believed?|believes|assumed?|assumes|claim(?:s|ed)?|guess(?:es|ed)?|supposed?"
    r"|expect(?:s|ed)?|insist(?:s|ed)?|argued?|imagined?|confused?|answer)\b"
    rf"|(?:is|was|are|were|been|used to be)\s+(?:{_OFTEN})*"
    r"(?:said|believed|thought|assumed|claimed|rumou?red|supposed)\b"
    r"|misconceptions?|misbelief|(?:common|popular|widespread|frequent)\s+(?:mistake|error|belief|assumption|answer|guess)"
    r"|(?:according to|contrary to)\s+(?:some|many|popular|legend|rumou?rs?)|legend has it"
    r"|I (?:used to|once|always)\s+(?:think|thought|believed?|assumed?))",
    re.IGNORECASE,
)
"""A claim of people at large, whom the sentence need not agree with."""
_SPEECH = r"(?:ask|claim|repl|answer|stat|add|insist|shout|whisper|explain|remark|declar|announc|cr|argu|suggest)"
_SAID = rf"(?:said|says|wrote|writes|read|reads|told|tells|thought|{_SPEECH}(?:s|es|d|ed|ies|ied))"
_SAID_BEFORE = re.compile(
    rf"\b{_SAID}(?:\s+(?:me|us|him|her|them|[A-Z]\w*|the \w+|that))?\s*[:,]?\s*[\"“«]\s*[^\"“”«»]*$"
)
_SAID_BEHIND = re.compile(rf"^[^\"“”«»]*[\"”»],?\s*(?:(?:\w+\s+){{1,3}}{_SAID}|{_SAID}\s+\w+)\b")
_BEFORE_DOT = re.compile(r"\w+\Z")
_BEHIND_DOT = re.compile(r"(?P<space>\s*)(?P<word>(?<=\S)\w|[A-Z]\w*)")
_TITLE_BEFORE = re.compile(r"\b(\w+)\.?\s{1,4}\Z")
_ASIDE = re.compile(r"\s*,\s*(?:as|or so)?\s*")
_OPENS = words_of("the a an in on at but and so as if when")
"""Words that begin a sentence rather than go on with a name."""


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

    Questions, conditions, denials and reports of error are not, nor is what people at large are said to think ("many
    think") or what somebody is quoted with. "I think", "maybe" and "Bob says" are: who is told a falsehood with a
    shrug is told a falsehood.
    """
    if text.rstrip().endswith(("?", "？")) or _is_quoted(text, start, end):
        return False
    clause = max((match.end() for match in _CLAUSE.finditer(text, 0, start)), default=0)
    if _UNCLAIMED.search(text, clause, start) or _DENIED.search(text, end):
        return False
    behind = _ASIDE.match(text, end)
    return not (_ATTRIBUTED.search(text, clause, end) or (behind and _ATTRIBUTED.match(text, behind.end())))


def _is_quoted(text: str, start: int, end: int) -> bool:
    """Whether the place is within quotation marks behind or before a verb of speech."""
    line = text.rfind("\n", 0, start) + 1
    before = text[line:start]
    within = before.count('"') % 2 or before.rfind("“") > before.rfind("”") or before.rfind("«") > before.rfind("»")
    return bool(within and (_SAID_BEFORE.search(before) or _SAID_BEHIND.search(text[end:])))


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
        if skipped and spoken[skipped - 1].lower() not in _GENERIC | TITLES:
            return None
        for last in range(min(len(words), skipped + MAX_NAME), skipped, -1):
            if not known(key_of(spoken[skipped:last])):
                continue
            at, stop = start + words[skipped].start(), start + words[last - 1].end()
            rest = text[stop:end].lstrip("'’\"”*_ ")
            return Mention(text[at:stop], at, stop, True) if anchor == "start" or rest[:1] in ("", ",") else None
    return None


def titled_start(text: str, start: int) -> int:
    """Where the titles in front of a name begin."""
    while (title := _TITLE_BEFORE.search(text, max(0, start - 20), start)) and title[1].lower() in TITLES:
        start = title.start()
    return start


def phrase_end(text: str, start: int, end: int) -> int:
    """Where the noun phrase that begins at `start` ends at the latest."""
    stop = _STOP.search(text, start, end)
    return min([stop.start() if stop else end, *(match.start() for match in _breaks(text, start, end))])


def _breaks(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """What a name does not go beyond: not the dots of "Dr. Doe", "J. Doe" and "D.C."."""
    for match in _BREAK.finditer(text, start, end):
        if match[0] != "." or not _is_abbreviation(text, match.start()):
            yield match


def _is_abbreviation(text: str, dot: int) -> bool:
    before, behind = _BEFORE_DOT.search(text, max(0, dot - 12), dot), _BEHIND_DOT.match(text, dot + 1)
    if behind is None or before is None:
        return False
    if not behind["space"]:
        return True
    word = before[0].lower()
    initial = len(word) == 1 and before[0].isupper() and text[before.start() - 1 : before.start()] != "."
    return (initial or word in TITLES | SUFFIXES) and behind["word"].lower() not in _OPENS | _PRONOUNS


def unknown_mention(text: str, start: int, end: int, anchor: Anchor) -> Mention | None:
    """The words in the place of a name, where they can be one; None for pronouns, dates and nothing at all."""
    if anchor == "end":
        start = max((match.end() for match in _breaks(text, start, end)), default=start)
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
