"""Words, numbers and the small closed word lists that `guard.checks.grounding` compares statements by.

It does not know evidence, segments or models. A word is a run of letters or one number. Two words are the same if
their stems are; two numbers if their values are. The lists are English: so is the model that was trained on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

WORD = re.compile(r"[^\W\d_]{1,48}(?:['’][^\W\d_]{1,48})?|\d{1,48}(?:,\d{1,3}){0,12}(?:\.\d{1,48})?")
"""A word or a number; longer runs fall apart, so that what is remembered of words stays small."""
_SPLIT = re.compile(r"[\s.,;:!?()'’\"]+")
_NEVER_STEMMED = frozenset("this his its was has does thus is as us less yes gas bus".split())
_ENDINGS = ("ations", "ation", "ings", "ing", "edly", "ies", "ied", "ers", "ed", "er", "es", "ly", "s", "y", "e")

STOP = frozenset(
    "a an the and or but if then than that this these those it its is are was were be been being am do does did have "
    "has had having of in on at by for with from to as into about over under after before between through during "
    "while not no nor so such can could will would shall should may might must i you he she they we them his her "
    "their our your my me him us also there here which who whom whose what when where why how all any each other some "
    "more most many much few own same too very just only both either neither however therefore thus hence according "
    "provided based on passage passages given information one it's there's don't doesn't isn't aren't can't "
    "additionally overall".split()
)
"""Words that say too little to be looked for in the evidence."""

_FOREIGN = frozenset(
    "der die das und ist nicht ein eine mit für auf den dem des le la les des et est une dans pour pas qui que sur "
    "el los las es una por para con del il di che non per gli della sono um uma não com ao os het een van niet zijn "
    "och är att som på det".split()
)
_ENGLISH = frozenset("the and is of to in that for with are was it be as can you this or by from not".split())

NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
    if word != "one"  # more often a pronoun
} | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "hundred": "100", "thousand": "1000"}

OPPOSED = (
    "increase/decrease more/less/fewer higher/lower high/low before/after always/never all/none first/last up/down "
    "above/below large/small larger/smaller long/short longer/shorter early/late earlier/later best/worst old/new "
    "older/younger positive/negative good/bad better/worse hot/cold warm/cool same/different easy/difficult/hard "
    "agree/disagree accept/reject/refuse/decline win/lose won/lost buy/sell bought/sold open/closed start/end "
    "begin/finish raise/lower add/remove include/exclude allow/prohibit/forbid support/oppose approve/deny "
    "male/female men/women man/woman boy/girl father/mother husband/wife son/daughter brother/sister "
    "north/south east/west left/right morning/evening daily/weekly/monthly/yearly/annually minimum/maximum "
    "inside/outside with/without legal/illegal possible/impossible able/unable safe/unsafe/dangerous required/optional "
    "true/false public/private internal/external many/few majority/minority gain/loss rise/fall rose/fell "
    "strong/weak fast/slow full/empty dead/alive guilty/innocent/acquitted"
)


def stemmed(listed: str) -> frozenset[str]:
    """The stems of a list of words."""
    return frozenset(stem(word) for word in listed.split())


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """A lower-case word without its commonest endings; a number in one notation ("1,000.0" is "1000")."""
    if word[0].isdigit():
        return number(word)
    word = word.partition("'")[0].partition("’")[0]
    if len(word) < 4 or word in _NEVER_STEMMED or word in NUMBER_WORDS:
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return _single(word[: -len(ending)])
    return word


def _single(stemmed: str) -> str:
    """One letter for a doubled last one: "stopp" is "stop"."""
    return stemmed[:-1] if len(stemmed) > 3 and stemmed[-1] == stemmed[-2] and stemmed[-1] not in "sl" else stemmed


def number(written: str) -> str:
    """A number without thousands separators and trailing zeros of its decimals."""
    plain = written.replace(",", "")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return plain.lstrip("0") or "0"


DENIALS = stemmed("no not never none neither nor without cannot unable")
HEDGES = stemmed(
    "may might could can possibly perhaps likely generally typically usually often sometimes probably appear appears "
    "seem seems suggest suggests some about approximately around"
)
FIRM = stemmed("must always never all every only definitely certainly exactly entirely completely guarantee")
OPPOSITES: dict[str, frozenset[str]] = {}
"""A stem's opposites."""
for _group in OPPOSED.split():
    _stems = [stem(word) for word in _group.split("/")]
    for _at, _one in enumerate(_stems):
        _others = frozenset(_stems[1:] if _at == 0 else _stems[:1]) - {_one}
        OPPOSITES[_one] = OPPOSITES.get(_one, frozenset()) | _others


@dataclass(slots=True, eq=False)
class Word:
    """A word of a text: its stem, its characters, whether it says enough to be looked for, and how it is written.

    Not frozen: that would treble what making one costs, and a request makes thousands.
    """

    stem: str
    start: int
    end: int
    content: bool
    capital: bool
    digit: bool


def words(text: str) -> list[Word]:
    """The words of a text."""
    out = []
    for found in WORD.finditer(text):
        written = found[0]
        low = written.lower()
        first = written[0]
        out.append(Word(stem(low), found.start(), found.end(), low not in STOP, first.isupper(), "0" <= first <= "9"))
    return out


def stems(text: str) -> list[str]:
    """The stems of a text's words, in order."""
    return [stem(word.lower()) for word in WORD.findall(text)]


STOP_STEMS = frozenset(stem(word) for word in STOP)


def is_other_language(text: str) -> bool:
    """Whether a text is plainly not English: another script, or other languages' little words."""
    low = set(_SPLIT.split(text.lower()))
    foreign = len(low & _FOREIGN)
    if foreign >= 2 and foreign > 2 * len(low & _ENGLISH):
        return True
    if text.isascii():
        return False
    letters = [c for c in text if c.isalpha()]
    return len(letters) >= 8 and 2 * sum(c < "\u0250" for c in letters) < len(letters)
