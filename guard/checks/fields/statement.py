"""What a sentence says of a thing that it names, for `guard.checks.fields`: that there is one, that there is none.

It knows no record. Rules: a negation reaches to the next turn of the sentence ("but", "while", a new subject or verb);
one behind the name counts where nothing before it offers the thing. Questions, conditions, hedges and
statements that something is not stated claim nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from guard.checks.fields.naming import LONGEST, stem

Claimed = Literal["yes", "no", ""]
"""That there is one, that there is none, or neither."""

WORD = re.compile(r"[^\W_]+(?:['’][a-z]+)?")
_GAP = re.compile(r"[ \t]?[-–]?[ \t]?|[_*]{0,2}")
_TURN = re.compile(
    r"[;.!?\n]|\b(?:but|however|although|though|while|whereas|yet|except|instead|despite)\b"
    r"|,\s*(?:and\s+|so\s+)?(?:it|they|there|this|which|customers|guests|you|we|making|with)\b"
    r"|(?:,|\band)\s+(?:the|an?|its|their)\s+(?=[\w-]+(?:\s\w+)?\s+(?:is|are|has|have|does|do|offers?|provides?|includes?"
    r"|features?|can|also)\b)|(?:,|\band)\s+(?=[\w-]+(?:\s[\w-]+)?\s(?:is|are|was|were)\b)"
    r"|(?:,|\band)\s*(?:also\s+|only\s+)?(?:has|have|offers?|provides?|features?|includes?|is|are|does|do|accepts?|takes?|"
    r"allows?|boasts?|supports?)\b(?!\s*(?:not|n['’]t))",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"\b(?:not|no|without|never|neither|nor|none|lacks?|lacking|lack of|cannot|absence of|unavailable|excludes?"
    r"|non(?=-$)|doesn['’]t|don['’]t|isn['’]t|aren['’]t|can['’]t|won['’]t|hasn['’]t|haven['’]t)\b",
    re.IGNORECASE,
)
_NOT_ONLY = re.compile(r"\bnot only\b|\bno (?:doubt|wonder|matter|exception)\b|\bnot (?:to|just)\b", re.IGNORECASE)
_OFFERED = re.compile(
    r"\b(?:offer(?:s|ed|ing)?|(?:has|have|having)(?!\s+(?:been|\w+ed)\b)|provid(?:es?|ed|ing)|featur(?:es?|ed|ing)"
    r"|includ(?:es?|ed|ing)|with|enjoy|there(?:['’]s|\s(?:is|are))|accepts?|takes?|allows?|boasts?|supports?|available"
    r"|such as|comes with|make|(?:good|great|suitable|ideal|perfect|popular|options?|choice|spot|place) for|good"
    r"|attributes|serves?|known for|prais\w+|appreciat\w+|availability of|access to|accommodat\w+|free(?=\s+$))\b",
    re.IGNORECASE,
)
_COPULA = re.compile(
    r"\b(?:is|are|was|were|been|be|feels?|described as)\b"
    r"(?P<near>\s+(?:(?:an?|also|currently|already|very|fully|both|all)\s+){0,2}$)?",
    re.IGNORECASE,
)
_DOING = re.compile(
    r"(?:\b(?:to|can|cannot|could|will|would|must|should|please|by|ask|let['’]?s|by the|the right)|^\s*set)\s+"
    r"(?:(?:an?|the|be|enable|use|set|turn on|disable)\s+)?$|\b(?:enable|disable|toggle|configure)\s+$",
    re.IGNORECASE,
)
_HARD_TURN = re.compile(
    r"[;.!?\n]|\b(?:but|however|although|though|while|whereas|yet|except|instead|despite)\b", re.IGNORECASE
)
_VERB = r"(?:is|are|was|were|has|have|offers?|includes?|provides?|does|do|can|will)"
_LISTED = rf"(?:(?!\b{_VERB}(?:n['’]t)?\b)[^;\n]){{0,60}}?"
_NOT_AFTER = re.compile(
    rf"{_LISTED}(?:\b(?:is|are|was|were)"
    r"(?:\s+(?:\w+\s+)?(?:not|unavailable|off|disabled|inactive|prohibited|excluded)\b|n['’]t\b)|\b(?:has|have) not\b"
    r"|\b(?:not (?:available|offered|provided|allowed|accepted|included|possible|permitted|supported)|unavailable)\b)"
    r"[^.;\n,]{0,40}",
    re.IGNORECASE,
)
_YES_AFTER = re.compile(
    rf"{_LISTED}\b(?:is|are|was|were)\s+(?:(?:\w+ly|also|both|all)\s+){{0,2}}(?:on(?=[.,;\s]*$)|enabled|available|offered"
    r"|provided|allowed|accepted|included|possible|supported|permitted|active|free|present|welcome|complimentary|plentiful)\b"
    rf"|{_LISTED}\bcan be (?:made|booked|found|enjoyed)\b|\s(?:is )?availab(?:le|ility)\b"
    r"|\s(?:is|are|was|were) [#$€£]?(?-i:[A-Z\d])",
    re.IGNORECASE,
)
_TOLD = re.compile(
    r"\**\s*[:=(–]\s*\**\s*(?:(?P<no>no|none|not|false|unavailable|off|disabled|n)|(?P<yes>yes|true|available|free|on"
    r"|enabled|y))\b",
    re.IGNORECASE,
)
_OPEN = re.compile(
    r"\b(?:if|unless|whether|may|might|could|would|should|perhaps|possibly|maybe|appears?|seems?|probably|likely|unclear"
    r"|unknown|unspecified|undisclosed|uncertain|null|mention(?:ed)?|specif\w*|information|details?|listed|stated?|disclosed?"
    r"|indicate[ds]?|confirm\w*|n/a|known(?! for)|recorded|assigned|will be|soon|once|yet to|wish\w*|issues?"
    r"|complain\w*|difficult\w*|nearby|recommend\w*)\b",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"\b(?:reviewers?|customers?|patrons?|guests?|diners?|visitors?|reviews?|users?|people|some|one|another)\b[^.;]{0,60}?"
    r"\b(?:said|says?|sa(?:id|ying)|noted?|noting|mention\w*|report\w*|complain\w*|prais\w*|critici[sz]\w*|felt|found"
    r"|describ\w*|appreciat\w*|enjoy\w*|lov\w*|express\w*|commend\w*|highlight\w*|recommend\w*|disappoint\w*)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Mention:
    """A run of words that may name something: its compact form and its characters."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A segment with its words looked up."""

    text: str
    words: tuple[re.Match[str], ...]
    turns: tuple[tuple[int, int], ...]
    is_question: bool

    def mentions(self) -> list[Mention]:
        """Every run of up to `LONGEST` words, the longest first at each place."""
        stems = [stem(word[0]) for word in self.words]
        found: list[Mention] = []
        for at, word in enumerate(self.words):
            end, name, runs = word.end(), stems[at], [Mention(stems[at], word.start(), word.end())]
            for after in range(at + 1, min(at + LONGEST, len(self.words))):
                if not _GAP.fullmatch(self.text, end, self.words[after].start()):
                    break
                end, name = self.words[after].end(), name + stems[after]
                runs.append(Mention(name, word.start(), end))
            found += reversed(runs)
        return found

    def claimed(self, start: int, end: int, is_member: bool = False) -> Claimed:
        """What is said of the thing named at these characters; `is_member`: its group is named beside it."""
        if told := _TOLD.match(self.text, end):
            return "no" if told["no"] else "yes"
        first = max((turn[0] for turn in self.turns if turn[1] <= start), default=0)
        last = min((turn[0] for turn in self.turns if turn[0] >= end), default=len(self.text))
        before = self.text[first:start]
        if _OPEN.search(self.text, first, last) or _DOING.search(before):
            return ""
        if _NOT.search(_NOT_ONLY.sub("", before)):
            return "no"
        copula = _COPULA.search(before) if is_member else _last(_COPULA, before)
        if _OFFERED.search(before) or (copula and (is_member or copula["near"] is not None)):
            return "yes"
        return self._behind(end, is_member)

    def _behind(self, end: int, is_member: bool) -> Claimed:
        """What stands behind the name: "... and parking are not available"."""
        turn = _HARD_TURN.search(self.text, end)
        stop = turn.start() if turn else len(self.text)
        found = _NOT_AFTER.match(self.text, end, stop)
        if found is None:
            return "yes" if is_member or _YES_AFTER.match(self.text, end, stop) else ""
        return "" if _OPEN.search(self.text, end, found.end()) else "no"

    def is_reported(self, start: int) -> bool:
        """Whether somebody else is said to say it."""
        return bool(_SAID.search(self.text, 0, start))


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return next(reversed(list(pattern.finditer(text))), None)


def statement(text: str) -> Statement:
    """A segment's statement."""
    turns = tuple(turn.span() for turn in _TURN.finditer(text))
    return Statement(text, tuple(WORD.finditer(text)), turns, text.rstrip().endswith(("?", "？")))
