"""Text to tokens for `guard.checks.arithmetic`: numbers, operators, brackets, relations, words, and the rest.

It does not know expressions; it settles what a character means by itself.

Kinds: ``n`` number, ``o`` operator (text one of + - * / ^ and `IMPLIED`), ``(`` ``)`` brackets of any sort,
``%``, ``f`` a LaTeX fraction, ``=`` relation (text ``=``, ``~`` for approximate, ``is`` for a word), ``w`` word,
``.`` harmless boundary, ``!`` hazard: something that may belong to the expression and cannot be read, so that
what touches it is not checked.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

MAX_DIGITS = 40
"""Longer numbers are hazards: identifiers, not quantities."""

_TOKEN = re.compile(
    r"""
      (?P<word>(?![⁰¹²³⁴⁵⁶⁷⁸⁹½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])(?![xX](?:\$?[0-9.]|\())[^\W\d_]+(?:['’\-][^\W\d_]+)*[²³]?(?!\w))
    | (?P<skip><<[^<>]{0,200}>>|(?:\\\\|\n)\s{0,8}&?\s{0,8}(?==)|&(?=\s?=)|\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])
          |\\(?:boxed|displaystyle|quad|qquad)(?![a-zA-Z])|\\[,;:!\ ]|[°′″])
    | (?P<item>(?:\A|(?<=\n))[ \t]{0,16}\(?[0-9a-zA-Z]{1,3}[.)][ \t]{1,4}(?![-+*/^×·÷=−–≈]))
    | (?P<cur>\\?\$|[€£¥₹])
    | (?P<mixed>[0-9]{1,4}[ ][0-9]{1,3}/[0-9]{1,3}(?![0-9]))
    | (?P<vulgar>[0-9]{0,6}[ ]?[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])
    | (?P<num>(?:[0-9]{1,3}(?:(?:,|\{,\}|\\[,!])[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?
          (?:[eE][+-]?[0-9]{1,3}(?![0-9A-Za-z]))?|\.[0-9]+)
    | (?P<sup>[⁰¹²³⁴⁵⁶⁷⁸⁹]+)
    | (?P<frac>\\[dt]?frac(?![a-zA-Z]))
    | (?P<pct>\\?%|％)
    | (?P<approx>≈|≅|≃|~|∼|\\(?:approx|simeq)(?![a-zA-Z]))
    | (?P<rel>(?<![<>!:=+\-*/≤≥])==?(?![=>]))
    | (?P<mul>×|·|⋅|∙|✕|\\(?:times|cdot|ast)(?![a-zA-Z])|(?<=[0-9)%])[xX](?=\$?[0-9.]|\())
    | (?P<div>÷|∕|⁄|/|\\div(?![a-zA-Z]))
    | (?P<star>\*{1,3})
    | (?P<op>[+\-−–^])
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<label>\\(?:text|mathrm|textbf|mathbf)\s?\{[^{}\\]{0,60}\})
    | (?P<bound>\\\\|\\[()\[\]]|\\(?:Rightarrow|implies|to|therefore)(?![a-zA-Z])|[⇒→∴—•\n;?"“”‘’'`#]
          |[,:](?![0-9])|\.(?![.0-9])|!(?=\s*\Z))
    | (?P<haz>\w+|\\[a-zA-Z]+|\.{2,}|\S)
    """,
    re.VERBOSE,
)

IMPLIED = "·"
"""The text of an operator that stands nowhere: 2(3 + 4)."""
LETTER_UNITS = frozenset("mgshlk")
"""One-letter units: as likely variables, so what rests on them is never certain."""
_ONE = Fraction(1)
_NEAR = 9
"""Characters looked at on either side of an asterisk."""
_KINDS = {"pct": "%", "frac": "f", "bound": ".", "item": ".", "haz": "!"}
"""Of the groups that stay as they are written."""
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


@dataclass(slots=True)
class Token:
    """One token; `start`, `end` are characters of the lexed text.

    For numbers: `value`, a step of the last written digit `ulp` (0 where it is no plain decimal), the `scale`
    that a word gave it ("3 million"; in `value` already), the `units` behind it, the `currency` before it.
    """

    kind: str
    text: str
    start: int
    end: int
    value: Fraction = Fraction(0)
    ulp: Fraction = Fraction(0)
    scale: int = 1
    units: tuple[str, ...] = ()
    currency: str = ""


def words(listed: str) -> frozenset[str]:
    """The words of a list that is written as a sentence."""
    return frozenset(listed.split())


def scan(text: str) -> list[Token]:
    """Every token of `text`, in order, by itself. Linear in the length; never raises."""
    tokens: list[Token] = []
    currency = ""
    for match in _TOKEN.finditer(text):
        group = match.lastgroup
        if group == "skip":
            continue
        if group == "cur":
            currency = match[0].lstrip("\\")
            continue
        tokens.extend(_token(group or "haz", match, currency))
        currency = ""
    return tokens


def _token(group: str, match: re.Match[str], currency: str) -> list[Token]:
    start, end, text = match.start(), match.end(), match[0]
    if group in ("num", "mixed", "vulgar"):
        return [_number(group, text, start, end, currency)]
    if group == "sup":
        exponent = _number("num", text.translate(_SUPERSCRIPT), start, end, "")
        return [Token("o", "^", start, start), exponent]
    return [Token(*_plain(group, match), start, end)]


def _plain(group: str, match: re.Match[str]) -> tuple[str, str]:
    """Kind and canonical text of everything that is no number."""
    text = match[0]
    match group:
        case "op":
            return "o", "-" if text in "−–" else text
        case "open" | "close":
            return "(" if group == "open" else ")", text
        case "mul" | "div":
            return "o", "*" if group == "mul" else "/"
        case "star":
            return _star(match)
        case "approx" | "rel":
            return "=", "~" if group == "approx" else "="
        case "label":
            return _label(text)
        case "word":
            return _word(text)
    return _KINDS[group], text


def _star(match: re.Match[str]) -> tuple[str, str]:
    """An asterisk multiplies, two raise to a power, and any number of them set markdown."""
    text, whole = match[0], match.string
    left = whole[max(0, match.start() - _NEAR) : match.start()].rstrip()[-1:]
    right = whole[match.end() : match.end() + _NEAR].lstrip()[:1]
    multiplied = left.isalnum() or left in tuple(")]}%")
    operands = multiplied and right in tuple("0123456789.($-+\\[{<€£")
    if len(text) == 3 or not operands:
        return ".", text
    if len(text) == 2:
        return ("o", "^") if left.isdigit() or left == ")" else (".", text)
    opening = left.isalpha() and whole[match.start() - 1].isspace() and not whole[match.end()].isspace()
    return ("!" if opening else "o"), "*"


def _label(text: str) -> tuple[str, str]:
    words = text[text.index("{") + 1 : -1].split()
    if not words:
        return ".", ""
    return ("w", words[-1]) if all(word.isalpha() for word in words) else ("!", text)


def _word(text: str) -> tuple[str, str]:
    if len(text) == 1:
        plain = text in "aIxX" or text in LETTER_UNITS or text in "KL" or "\u3040" <= text <= "\u9fff"
        return ("w" if plain else "!"), text
    shouted = len(text) <= 3 and text.isupper() and text not in ("USD", "EUR", "AND", "THE")
    return ("!" if shouted else "w"), text


def _number(group: str, text: str, start: int, end: int, currency: str) -> Token:
    if text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= MAX_DIGITS:
        return Token("n", text, start, end, Fraction(int(text)), _ONE, currency=currency)
    plain = re.sub(r"[^0-9.eE+\-]", "", text) if group == "num" else text
    digits = re.split("[eE.]", plain)[0]
    if len(plain) > MAX_DIGITS or (group == "num" and len(digits) > 1 and digits[0] == "0"):
        return Token("!", text, start, end)
    if group == "num":
        value, ulp = _decimal(plain)
        return Token("n", text, start, end, value, ulp, currency=currency)
    mixed = _mixed(text) if group == "mixed" else _vulgar(text)
    return Token("n" if mixed is not None else "!", text, start, end, mixed or Fraction(0), currency=currency)


def _decimal(plain: str) -> tuple[Fraction, Fraction]:
    """The value of a plain number, and a step of its last digit."""
    if plain.isdigit():
        return Fraction(int(plain)), _ONE
    mantissa, _, exponent = plain.lower().partition("e")
    whole, _, part = mantissa.partition(".")
    ulp = Fraction(10) ** (int(exponent or 0) - len(part))
    return int(whole + part) * ulp, ulp


def _mixed(text: str) -> Fraction | None:
    whole, _, part = text.partition(" ")
    above, below = (int(number) for number in part.split("/"))
    return int(whole) + Fraction(above, below) if 0 < above < below else None


def _vulgar(text: str) -> Fraction:
    return int(text[:-1].strip() or 0) + Fraction(unicodedata.numeric(text[-1])).limit_denominator(10)
