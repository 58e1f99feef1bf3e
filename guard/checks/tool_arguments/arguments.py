"""The values of a tool call's arguments, for `guard.checks.tool_arguments`: where each stands and what it must be.

It knows the argument's name, the value's shape and the tool's name; not what was supplied, and not the tool's schema.

Rules: the last word of a name decides before the others do, and a name for free text ends the question: nothing in a
`query`, a `message` or a `body` is looked at. A value whose name says that the caller makes it up (an idempotency
key, a password, the id of what the call creates) is left alone. Without a telling name only shapes count that mean
nothing but an identity: e-mail, URL, UUID, IBAN.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

Kind = Literal["id", "email", "url", "phone", "iban", "amount", "date", "name", "loose"]
"""What a value is. `loose`: looks like an identifier, under a name that does not say so."""

LEAST = 3
"""Letters and digits that an identifier has at least; a shorter one is as likely a count or a position."""
MOST = 120
"""A longer string is text, whatever its name."""
LEAVES = 500
"""Values of a call that are looked at."""

_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
_FREE = frozenset(
    "answer body caption code_block command comment comments content css description details explanation expression"
    " filter find goal greeting heading html input instruction instructions javascript label markdown message messages"
    " note notes output path pattern plan prompt q query question reason reasoning regex remark remarks replacement"
    " response script search snippet sql statement str string subject summary tag tags template term text thought"
    " thoughts title tone topic translation keyword keywords formula equation cmd file filename files folder directory"
    " slug branch source_code patch diff".split()
)
_MADE_UP = frozenset(
    "idempotency nonce request correlation trace span generated new temp tmp random salt seed password passwd secret"
    " cursor offset page line row column attempt retry chunk index step level version revision model region zone"
    " voice timezone locale language lang country currency status airport iata icao color colour exit http error area"
    " zip postal post dialing type format size unit category timeout port engine max min limit count".split()
)
_ID = frozenset(
    "id ids uid uuid guid number no num nr ref reference pnr sku isbn doi vin hash sha commit serial".split()
)
_CODE = frozenset("code key token".split())
_RECORD = frozenset(
    "account booking case claim confirmation contract customer invoice member membership order parcel passport payment"
    " prescription refund reservation shipment subscription ticket tracking transaction user patient student"
    " employee device license licence".split()
)
_EMAIL_NAME, _PHONE_NAME = frozenset({"email", "mail", "emails"}), frozenset({"phone", "mobile", "fax", "telephone"})
_AMOUNT = frozenset(
    "amount price total subtotal cost payment fee salary refund deposit balance sum charge budget".split()
)
_DATE = frozenset("date day birthday birthdate dob deadline".split())
_WHEN = frozenset("time timestamp ts since until epoch at duration seconds ms hour minute".split())
_PERSON = frozenset(
    "customer client passenger guest recipient patient contact employee person attendee sender owner holder billing"
    " shipping traveler traveller doctor manager first last full family given middle sur cardholder beneficiary"
    " payee".split()
)
_PEOPLE = frozenset("passenger passengers guest guests patient attendee attendees recipient surname payee".split())
_CREATES = frozenset("create add new insert register generate open make start".split())

_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(r"(?:https?|ftp)://\S+", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_IBAN = re.compile(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}")
_PHONE = re.compile(r"\+?[\d\s().\-/]{7,24}")
_LOOSE = re.compile(r"[A-Z]{1,6}[-_#]?\d{3,}|[A-Z]{2,6}-\d{2,4}-\d{2,}|\d{7,}")
_BARE = re.compile(r"#?(?:[A-Za-z]{1,6}[-_#]?)?\d[\d-]{2,}[A-Za-z\d-]*")
_LOWER = re.compile(r"[a-z]{3}")
_PERSON_VALUE = re.compile(r"[^\W\d_][^\d_@/\\{}<>]{1,60}")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ].*)?")
_MONEY = re.compile(r"[^\d\w]{0,3}(?:[A-Z]{3} )?-?\d[\d.,' ]{0,16}(?: ?(?:[A-Z]{3}|[^\d\w\s]))?")


@dataclass(frozen=True, slots=True)
class Argument:
    """One value: the words of its name, the value as text, and its characters in the JSON text."""

    name: tuple[str, ...]
    value: str
    kind: Kind
    start: int
    end: int
    is_number: bool = False


def words_of(name: str) -> tuple[str, ...]:
    """The words of an argument's or a tool's name: ``orderId``, ``order_id`` and ``order-id`` are two."""
    return tuple(word.lower() for word in _NAME.findall(name))


def arguments_in(text: str, tool: str) -> tuple[Argument, ...] | None:
    """The values of a call's arguments that must come from somewhere, in order; None where `text` is no JSON object."""
    try:
        document = json.loads(text, parse_float=_Digits, parse_int=_Digits)
        return tuple(_walked(document, text, words_of(tool))) if isinstance(document, dict) else None
    except (ValueError, RecursionError):
        return None


class _Digits(str):
    """A number of the JSON text, as it is written."""

    __slots__ = ()


def _walked(document: Any, text: str, tool: tuple[str, ...]) -> Iterator[Argument]:
    at = 0
    for name, value in islice(_leaves(document, ()), LEAVES):
        start, end = _place(text, value, at)
        at = max(at, end)
        is_number = isinstance(value, _Digits)
        if kind := _kind(name, value.strip(), is_number, tool):
            yield Argument(name, value.strip(), kind, start, end, is_number)


def _leaves(value: Any, name: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            # {"customer": {"name": ...}} is the customer's name, and {"order": {"id": ...}} the order's id.
            words = words_of(key)
            lone = len(words) == 1 and words[0] in ("id", "number", "name", "code", "key", "date")
            yield from _leaves(inner, (*name[-1:], *words) if lone else words)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, name)
    elif isinstance(value, str):
        yield name, value


def _place(text: str, value: str, at: int) -> tuple[int, int]:
    for written in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        if (start := text.find(written, at)) >= 0:
            return start, start + len(written)
    return 0, len(text)


def _kind(name: tuple[str, ...], value: str, is_number: bool, tool: tuple[str, ...]) -> Kind | None:
    if not name or not value or len(value) > MOST or name[-1] in _FREE:
        return None
    shape = None if is_number else _by_shape(value)
    if shape in ("email", "iban"):
        return shape
    return None if not _MADE_UP.isdisjoint(name) else shape or _by_name(name, value, is_number, tool)


def _by_shape(value: str) -> Kind | None:
    if _EMAIL.fullmatch(value):
        return "email"
    if _URL.fullmatch(value):
        return "url"
    if _UUID.fullmatch(value):
        return "id"
    return "iban" if _IBAN.fullmatch(value) and sum(c.isdigit() for c in value) > 9 else None


def _by_name(name: tuple[str, ...], value: str, is_number: bool, tool: tuple[str, ...]) -> Kind | None:
    last, words = name[-1], set(name)
    if words & _PHONE_NAME or (value[0] == "+" and not is_number):
        return "phone" if _PHONE.fullmatch(value) else None
    if last in _ID or (last in _CODE and len(name) > 1):
        return "id" if _is_id(value) and not _is_made_here(name, tool) else None
    if last in _RECORD and _BARE.fullmatch(value):
        return None if _is_made_here((*name, "id"), tool) else "id"
    if words & _AMOUNT:
        return "amount" if _MONEY.fullmatch(value) else None
    if words & _DATE:
        return "date" if _ISO_DATE.fullmatch(value) else None
    if words & _WHEN or is_number:
        return None
    if last in _PEOPLE or (last in ("name", "names", "firstname", "lastname", "surname") and words & _PERSON):
        return "name" if _PERSON_VALUE.fullmatch(value) else None
    return "loose" if _LOOSE.fullmatch(value) else None


def _is_id(value: str) -> bool:
    solid = [c for c in value if c.isalnum()]
    is_prose = " " in value and _LOWER.search(value)
    return len(solid) >= LEAST and any(c.isdigit() for c in solid) and not is_prose


def _is_made_here(name: tuple[str, ...], tool: tuple[str, ...]) -> bool:
    """Whether the call makes the thing that the identifier is of, so that there is none yet to be given."""
    return bool(tool) and tool[0] in _CREATES and (len(name) == 1 or name[-2] in tool[1:])
