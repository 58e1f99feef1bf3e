"""Finds what identifies or authorises someone in a text and puts a stable placeholder in its place.

Knows patterns, not people: e-mail addresses, telephone and card numbers, account numbers, IP addresses, keys,
passwords and inline data are found by their form; a name or a street is not, unless a `Finder` (see `people`)
finds it. Knows nothing of records. Rules:

- Values that overlap are one, of the kind of the one that starts first; where several start and end together,
  the patterns here come before a finder's.
- A text that a finder cannot judge is withheld whole, never written as it is.
- One value, one placeholder, for as long as the redactor lives (one session): `<EMAIL_1>` says what it was
  and which one.
- Every replacement is remembered by position, so that offsets into the old text can be moved.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

Hit: TypeAlias = tuple[int, int, str]
"""Where a value stands (start, end) and its kind, such as "PERSON"."""

Finder: TypeAlias = Callable[[str], Sequence[Hit] | None]
"""What else identifies someone in a text, the surest first; None where it could not be judged."""

WITHHELD = "<WITHHELD>"
"""Stands for a text that no finder could judge."""

_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_KEY_FORMS = (
    r"(?:sk|pk|rk)[-_][\w-]{16,}",
    r"gh[pousr]_\w{20,}",
    r"github_pat_\w{20,}",
    r"glpat-[\w-]{16,}",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",
    r"AIza[\w-]{30,}",
    r"xox[abeoprs]-[\w-]{10,}",
    r"hf_\w{20,}",
    r"eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+",
)
_KEY_STARTS = ("sk", "pk", "rk", "gh", "AKIA", "ASIA", "AIza", "xox", "hf_", "eyJ", "glpat")
_FIELD = r"[aAsStTpP](?i:pi[_-]?key|ecret|oken|assw(?:or)?d|wd)"
_DIGITS = tuple("0123456789")
_GAP = r"(?:\)[ .-]?\(?|[ .-]\(?|\()"  # never nothing: a run of digits can be parted in one way only
# (kind, what a text must contain for the pattern to be tried, pattern). The value is the group `v`. A pattern
# starts with its rarest character where it can and looks back from there: starting with a look-back costs
# five times as much.
_FORMS = (
    ("DATA", (";base64,",), r"(?P<v>data:[\w.+-]+/[\w.+-]+;base64,[\w+/=-]{16,})"),
    (
        "KEY",
        ("-----BEGIN ",),
        r"(?P<v>-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*-----|\Z))",
    ),
    ("KEY", _KEY_STARTS, rf"(?<![\w-])(?P<v>{'|'.join(_KEY_FORMS)})"),
    ("KEY", ("earer", "EARER"), r"(?i:bearer)\s+(?P<v>[\w.~+/-]{16,}=*)"),
    ("KEY", ("://",), r"://[^/\s:@]{0,256}:(?P<v>[^/\s@]{1,256})@"),
    ("KEY", (":", "="), rf"{_FIELD}[\"']?\s{{0,3}}[:=]\s{{0,3}}[\"']?(?P<v>[^\s\"',;<>]{{6,}})"),
    ("EMAIL", ("@",), r"(?<![\w.+-])(?P<v>[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+)"),
    ("IBAN", _DIGITS, r"(?P<v>[A-Z](?<!\w.)[A-Z]\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?)(?!\w)"),
    (
        "CARD",
        _DIGITS,
        r"(?P<v>\d(?<![\w.].)(?:\d{12,18}|\d{3}(?:[ -](?:\d{4}(?:[ -]\d{4}){2}|\d{6}[ -]\d{5}))))(?!\w)",
    ),
    ("ID", _DIGITS, r"(?P<v>\d(?<![\w-].)\d\d-\d{2}-\d{4})(?![\w-])"),
    ("IP", _DIGITS, rf"(?P<v>\d(?<![\w.].)\d{{0,2}}\.(?:{_OCTET}\.){{2}}{_OCTET})(?!\w|\.\d)"),
    ("IP", (":",), r"(?<![\w:.])(?P<v>[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w:])"),
    ("PHONE", ("+",), rf"(?P<v>\+(?<!\w.)(?:\d{{1,23}}(?:{_GAP}\d{{1,20}}){{0,5}}{_GAP}\d{{2,24}}|\d{{5,27}}))(?!\w)"),
    ("PHONE", _DIGITS, r"(?P<v>[\d(](?<![\w.-].)\d{2,3}(?:\) ?|[-. ])\d{3}[-. ]\d{4})(?![\w-])"),
)
_SECRETS = tuple((kind, cues, re.compile(pattern)) for kind, cues, pattern in _FORMS)
_NOT_DIGIT = re.compile(r"\D")
_WORD = re.compile(r"[a-z_]{1,32}")


def _luhn(text: str) -> bool:
    digits = [int(d) for d in _NOT_DIGIT.sub("", text)]
    doubled = [d * 2 - 9 * (d > 4) for d in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _mod97(text: str) -> bool:
    plain = text.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _address(text: str) -> bool:
    try:
        version = ipaddress.ip_address(text).version
    except ValueError:
        return False
    # "a[::2]" is a slice far more often than an address.
    return version == 4 or sum(map(bool, text.split(":"))) >= 3


def _enough(text: str) -> bool:
    return len(_NOT_DIGIT.sub("", text)) >= 5


_VALID = {"PHONE": _enough, "CARD": _luhn, "IBAN": _mod97, "IP": _address}


def _secrets(text: str) -> list[Hit]:
    return [
        (*match.span("v"), kind)
        for kind, cues, pattern in _SECRETS
        if any(cue in text for cue in cues)
        for match in pattern.finditer(text)
        if kind not in _VALID or _VALID[kind](match["v"])
    ]


def _apart(hits: Sequence[Hit]) -> list[Hit]:
    """The hits in the text's order, those that overlap as one."""
    apart: list[Hit] = []
    for start, end, kind in sorted(hits, key=lambda hit: hit[:2]):
        if apart and start < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]), apart[-1][2])
        else:
            apart.append((start, end, kind))
    return apart


def _same(kind: str, value: str) -> str:
    if kind in ("PHONE", "CARD"):
        return _NOT_DIGIT.sub("", value)
    return " ".join(value.split()).casefold() if kind in ("EMAIL", "PERSON", "LOCATION") else value


@dataclass(frozen=True, slots=True)
class Redacted:
    """A redacted text. `changes` are (start, end) in the old text and (start, end) in the new one, in
    order."""

    text: str
    changes: tuple[tuple[int, int, int, int], ...] = ()

    def at(self, offset: int) -> int:
        """Where an offset of the old text is in the new one; one inside a replaced value is at its end."""
        shift = 0
        for start, end, new_start, new_end in self.changes:
            if offset <= start:
                return offset - start + new_start
            if offset < end:
                return new_end
            shift = new_end - end
        return offset + shift


class Redactor:
    """The placeholders of one session; `find` finds what the patterns here do not."""

    __slots__ = ("_counts", "_find", "_names")

    def __init__(self, find: Finder | None = None) -> None:
        self._find = find
        self._names: dict[tuple[str, str], str] = {}
        self._counts: Counter[str] = Counter()

    def read(self, text: str) -> Redacted:
        """Redact one text and remember where."""
        others = self._find(text) if self._find and text else ()
        if others is None:
            return Redacted(WITHHELD, ((0, len(text), 0, len(WITHHELD)),))
        return self._replaced(text, [*_secrets(text), *others])

    def text(self, text: str) -> str:
        """Redact one text."""
        return self.read(text).text

    def parts(self, *texts: str) -> tuple[tuple[str, ...], Redacted]:
        """Redact texts that stand one after the other; a value across a border goes to the left."""
        whole = self.read("".join(texts))
        borders = [0, *(whole.at(offset) for offset in accumulate(map(len, texts)))]
        return tuple(whole.text[a:b] for a, b in pairwise(borders)), whole

    def tree(self, value: Any) -> Any:
        """Redact every string, key and long whole number in a JSON value."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self._word(str(key)): self._item(str(key), item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.tree(item) for item in value]
        if isinstance(value, int) and not isinstance(value, bool):
            digits = str(value)
            return value if (safe := self.text(digits)) == digits else safe
        return value

    def _item(self, key: str, value: Any) -> Any:
        return self._word(value) if key in ("role", "type") and isinstance(value, str) else self.tree(value)

    def _word(self, text: str) -> str:
        """Redact a name of the chat format. A model that takes `role` for a person must not undo a message."""
        return self._replaced(text, _secrets(text)).text if _WORD.fullmatch(text) else self.text(text)

    def _replaced(self, text: str, hits: Sequence[Hit]) -> Redacted:
        parts: list[str] = []
        changes: list[tuple[int, int, int, int]] = []
        old = new = 0
        for start, end, kind in _apart(hits):
            put = self._placeholder(kind, text[start:end])
            parts += [text[old:start], put]
            new += start - old + len(put)
            changes.append((start, end, new - len(put), new))
            old = end
        return Redacted("".join([*parts, text[old:]]), tuple(changes))

    def _placeholder(self, kind: str, value: str) -> str:
        key = (kind, _same(kind, value))
        if key not in self._names:
            self._counts[kind] += 1
            self._names[key] = f"<{kind}_{self._counts[kind]}>"
        return self._names[key]
