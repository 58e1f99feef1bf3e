"""The columns of JSON rows, as `datasets` names their types: so that every split is read with the same ones.

`datasets` guesses a split's types from its first rows: a column that is null there and text later, or in the other
split, cannot be read. What the rows have in common is not guessed here but collected, of every row that is written.
Structs whose fields differ, and all that has no common type, are `json`: read back exactly as they were written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Type = None | str | tuple[str, Any]
"""None (nothing but null so far), a scalar's name, ("list", Type), ("struct", {field: Type}) or "json"."""

_SCALARS = {bool: "bool", int: "int64", float: "float64", str: "string"}


class Features:
    """The types of the rows seen so far, in the order in which columns came."""

    def __init__(self) -> None:
        self._columns: dict[str, Type] = {}

    def see(self, row: Mapping[str, Any]) -> None:
        """Take a row into account."""
        for name, value in row.items():
            self._columns[name] = joined(self._columns.get(name), type_of(value))

    def yaml(self) -> list[dict[str, Any]]:
        """As a data set's card has it, under `dataset_info.features`."""
        return [{"name": name, **_told(type_)} for name, type_ in self._columns.items()]


def type_of(value: Any) -> Type:
    """The type of a JSON value."""
    if value is None:
        return None
    if type(value) is dict:
        return ("struct", {name: type_of(item) for name, item in value.items()})
    if type(value) is list:
        kinds = set(map(type, value))
        if len(kinds) == 1 and kinds <= _SCALARS.keys():
            return ("list", _SCALARS[kinds.pop()])
        of: Type = None
        for item in value:
            of = joined(of, type_of(item))
        return ("list", of)
    return _SCALARS[type(value)]


def joined(one: Type, other: Type) -> Type:
    """A type that holds both."""
    if one == other or other is None:
        return one
    if one is None:
        return other
    if {one, other} == {"int64", "float64"} if isinstance(one, str) and isinstance(other, str) else False:
        return "float64"
    if isinstance(one, tuple) and isinstance(other, tuple) and one[0] == other[0]:
        if one[0] == "list":
            return ("list", joined(one[1], other[1]))
        if one[1].keys() == other[1].keys():
            return ("struct", {name: joined(type_, other[1][name]) for name, type_ in one[1].items()})
    return "json"


def _told(type_: Type) -> dict[str, Any]:
    if isinstance(type_, str) or type_ is None:
        return {"dtype": type_ or "null"}
    kind, of = type_
    if kind == "struct":
        # A struct without fields is no type of Arrow's that can be written.
        fields = [{"name": name, **_told(each)} for name, each in of.items()]
        return {"struct": fields} if fields else {"dtype": "json"}
    inner = _told(of)
    return {"list": inner["struct"] if "struct" in inner else inner.get("dtype") or inner}
