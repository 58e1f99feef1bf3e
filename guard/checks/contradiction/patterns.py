"""The forms of a plain statement, for `guard.checks.contradiction`: subject, verb, value and what stands behind it.

Each matches a clause from its first word: `s` is the subject, `a` the verb, `v` the value, `t` what belongs to the
attribute behind the value. It does not know which subjects may be compared. The first form that matches counts.
"""

from __future__ import annotations

import re

from guard.checks.contradiction.amounts import DATE, DAY, NUMBER, TIME, Kind

_SUBJECT = r"^(?P<s>.{3,60}?)\s"
_BE = r"(?:is|was|are|were|will be)"
_PLANNED = rf"{_BE}(?:\s(?:scheduled|set|planned|due|held|taking place))?"
_MADE = (
    "built|completed|released|published|opened|launched|invented|discovered|signed|created|formed|written|introduced"
)
_HOLDS = (
    r"has a (?:population|length|height|capacity) of|has|had|have|contain(?:s|ed)?|consist(?:s|ed)? of|comprise[sd]?"
    r"|feature[sd]?|weigh(?:s|ed)?|costs?|holds?|cover(?:s|ed)?|measure[sd]?|won"
)
_AMOUNT = rf"(?P<v>[$€£]?(?:{NUMBER})(?:\s(?:thousand|million|billion|trillion))?)(?![\d:/%-])"
_NAME = r"(?P<v>[A-Z][\w'’.-]*(?:\s(?:of\s|de\s|von\s|van\s|the\s)?[A-Z][\w'’.-]*){0,3})"
_FORMS: tuple[tuple[Kind, str], ...] = (
    (
        "day",
        rf"{_SUBJECT}(?P<a>{_PLANNED}|takes? place|took place|starts?|begins?|ends?)\s(?:on\s|for\s)?(?P<v>{DAY})\b",
    ),
    (
        "time",
        rf"{_SUBJECT}(?P<a>{_PLANNED}|takes? place|starts?|begins?|ends?|arrives?|departs?|leaves?)\s(?:at\s|for\s)"
        rf"(?P<v>{TIME})",
    ),
    ("date", rf"{_SUBJECT}(?:was\s|were\s)?(?P<a>born|died|founded|established)\s(?:in\s|on\s)(?:the\s)?(?P<v>{DATE})"),
    ("date", rf"{_SUBJECT}(?P<a>(?:was|were)\s(?:{_MADE})|{_PLANNED})\s(?:in\s|on\s|for\s)(?P<v>{DATE})(?P<t>.*)$"),
    ("name", rf"^(?P<s>[Tt]he\s(?:[a-z-]+\s){{1,3}}of\s[A-Z].{{2,40}}?)\s(?P<a>is|was)\s(?:the\scity\sof\s)?{_NAME}$"),
    (
        "name",
        rf"{_SUBJECT}(?P<a>was\s(?:written|painted|directed|composed|invented|discovered|founded|designed)\sby)\s"
        rf"{_NAME}$",
    ),
    ("number", rf"{_SUBJECT}(?P<a>{_BE}|{_HOLDS})\s{_AMOUNT}(?P<t>.*)$"),
    ("number", rf"^(?P<s>there)\s(?P<a>are|were)\s(?P<v>{NUMBER})(?![\d:/%-])(?P<t>\s.{{3,60}})$"),
    (
        "polarity",
        rf"{_SUBJECT}(?P<a>is|was|are|were|has|have|does|do|did|can)(?P<v>\snot|n['’]t|\snever|)\s(?P<t>.{{3,60}})$",
    ),
)
FORMS: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(form, 0 if kind == "name" else re.IGNORECASE)) for kind, form in _FORMS
)
"""The forms by the kind of their value, the more particular first."""

BORN = re.compile(rf"(?P<s>[A-Z][\w'’.-]+(?:\s[A-Z][\w'’.-]+){{0,3}}),?\s\(?(?P<a>born)\s(?:in\s|on\s)?(?P<v>{DATE})")
"""A birth in passing: "Ada Velm (born 1912)"."""

UNIT = re.compile(
    r"(?:\s(?!(?:in|on|at|with|to|by|from|for|and|that|as|during|across|\w+ing|\w+ed|spread)\b)[\w²³-]+){1,3}"
)
"""What is counted, or the unit: up to three words behind a number."""

VERB = re.compile(
    r"\b(?:(?:is|was|are|were|has|had|have|does|do|did|can)(?:n['’]t)?|born|died|founded|established|takes?|took|starts?"
    r"|begins?|ends?|arrives?|departs?|leaves?|contain(?:s|ed)?|consist(?:s|ed)?|comprise[sd]?|feature[sd]?"
    r"|weigh(?:s|ed)?|costs?|holds?|cover(?:s|ed)?|measure[sd]?|won)\b"
)
"""What every form has one of."""
