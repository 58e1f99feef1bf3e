"""JSON with places, for `guard.checks.fields`: where each value of a document stands in its text.

Reads JSON and what Python prints for the same values (single quotes, ``True``, ``None``), since tools return both.
It does not know what a value means. A text that is cut off or is no document gives None; nothing here raises, and
what is nested deeper than `DEEPEST` is no document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

DEEPEST = 40
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"""
    r"""|(?P<word>true|false|null|True|False|None)\b|(?P<mark>[{}\[\],:]))""",
    re.DOTALL,
)
_WORDS: dict[str, bool | None] = {"true": True, "True": True, "false": False, "False": False}
_SLASHED = re.compile(r"\\(.)", re.DOTALL)

Scalar = str | float | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its characters. `value` is a scalar, a list of nodes, or a list of (key, start of key, node)."""

    value: Scalar | list[Node] | list[tuple[str, int, Node]]
    start: int
    end: int

    @property
    def is_object(self) -> bool:
        """Whether it is an object; an empty one counts as an empty list."""
        return isinstance(self.value, list) and bool(self.value) and isinstance(self.value[0], tuple)

    def members(self) -> list[tuple[str, int, Node]]:
        """The members of an object."""
        return [m for m in self.value if isinstance(m, tuple)] if isinstance(self.value, list) else []

    def items(self) -> list[Node]:
        """The items of a list."""
        return [m for m in self.value if isinstance(m, Node)] if isinstance(self.value, list) else []


def documents(text: str) -> Iterator[Node]:
    """Every object and list of objects that stands in the text, in order."""
    at = failed = 0
    while failed < _TRIES and (at := _opening(text, at)) >= 0:
        node = _Reader(text, at).read()
        if node is None:
            failed += 1
            line = text.find("\n", at)
            if line < 0:
                return
            at = line
            continue
        yield node
        at = node.end


_TRIES = 20
"""Lines on which a document seems to begin and none does, before the rest of the text counts as prose."""


def _opening(text: str, at: int) -> int:
    places = [place for mark in "{[" if (place := text.find(mark, at)) >= 0]
    return min(places, default=-1)


class _Broken(Exception):
    """The text is no document."""


class _Reader:
    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self._at = at

    def read(self) -> Node | None:
        try:
            return self._value(self._next(), 0)
        except _Broken:
            return None

    def _next(self) -> re.Match[str]:
        token = _TOKEN.match(self._text, self._at)
        if token is None:
            raise _Broken
        self._at = token.end()
        return token

    def _value(self, token: re.Match[str], depth: int) -> Node:
        kind = token.lastgroup or ""
        start, end = token.span(kind)
        if kind == "string":
            return Node(_unquoted(token[kind]), start, end)
        if kind == "number":
            return Node(float(token[kind]), start, end)
        if kind == "word":
            return Node(_WORDS.get(token[kind]), start, end)
        if depth > DEEPEST or token[kind] not in "{[":
            raise _Broken
        return self._object(start, depth) if token[kind] == "{" else self._list(start, depth)

    def _object(self, start: int, depth: int) -> Node:
        members: list[tuple[str, int, Node]] = []
        token = self._next()
        while token["mark"] != "}":
            if token["string"] is None or self._next()["mark"] != ":":
                raise _Broken
            members.append((_unquoted(token["string"]), token.start("string"), self._value(self._next(), depth + 1)))
            token = self._next()
            if token["mark"] == ",":
                token = self._next()
        return Node(members, start, self._at)

    def _list(self, start: int, depth: int) -> Node:
        items: list[Node] = []
        token = self._next()
        while token["mark"] != "]":
            items.append(self._value(token, depth + 1))
            token = self._next()
            if token["mark"] == ",":
                token = self._next()
        return Node(items, start, self._at)


def _unquoted(written: str) -> str:
    if "\\" not in written:
        return written[1:-1]
    try:
        return str(json.loads(written))
    except ValueError:
        return _SLASHED.sub(r"\1", written[1:-1])
