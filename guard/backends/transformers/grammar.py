"""From a JSON schema to an automaton over a model's tokens.

Knows JSON schemas, outlines (`outlines_core`: schema -> expression -> states over the vocabulary) and bytes. Does not
know logits, requests or how far an answer is. Its rules:

1. What is written up to an end is JSON of the schema: types, `enum`, `required`, nesting. Objects with `properties`
   hold no others; `oneOf` is read as `anyOf`. Bounds on numbers and `uniqueItems` are not kept: whoever asked validates
   again. What else a schema says is kept or refused by name; outlines never sees a client's expression (`pattern`).
2. `maxLength` of a long string costs a state for each character and each token of the vocabulary. Where all strings of
   a schema share one bound of `LONG` or more, it is left to whoever walks the automaton (`longest`).
3. Nobody waits for another's schema longer than for his own few: one thread compiles, what waits is bounded, and a
   schema is tried over single bytes first, which tells how many states the whole vocabulary would be asked for.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

import torch

from guard.backends.transformers.constraint import Grammar
from guard.backends.transformers.vocabulary import Vocabulary
from guard.errors import RequestError, UpstreamError

LONG = 64
"""Characters from which a shared `maxLength` is counted."""

KEPT = 4
"""Grammars that are kept compiled."""

WAITING = 8
"""Schemas that may wait for the thread, the one it has included."""

PATIENCE = 20.0
"""Seconds that a request waits for its schema."""

LARGEST = 20_000
"""Characters of a schema's expression."""

MOST_STATES = 3_000
"""States that a schema's automaton could have at worst; the library takes 3 s for 2,800 of a nested list."""

WORK = 60_000_000
"""States times tokens; a state inside a string counts as `WIDE`, for most tokens lead on from it."""

WIDE = 30
DEEPEST = 16
MOST_PARTS = 500
_INSIDE = 90  # single bytes that lead on from a state inside a string; from no other state do as many

_SILENT = frozenset(
    "$schema $id $comment $defs definitions title description default examples deprecated readOnly writeOnly "
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf uniqueItems additionalProperties strict".split()
)
_KINDS: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "format"}),
    **dict.fromkeys(("integer", "number", "boolean", "null"), frozenset()),
}
_ANY_OF, _LITERAL = ("anyOf", "oneOf", "allOf"), ("enum", "const")
_DATE, _TIME = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_FORMATS = {
    "date": _DATE,
    "time": f"{_TIME}Z",
    "date-time": f"{_DATE}T{_TIME}Z",
    "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}


class Grammars:
    """Compiles schemas for one vocabulary; `ends` are the model's end tokens, `size` that of its logits."""

    def __init__(self, vocabulary: Vocabulary, ends: Collection[int], size: int) -> None:
        self._vocabulary = vocabulary
        self._ends = ends
        self._size = size
        self._spelled: dict[int, bytes] = {}
        self._lengths = torch.zeros(size, dtype=torch.long)
        self._quoted = torch.zeros(size, dtype=torch.bool)
        self._tokens: Any = None
        self._lock = threading.Lock()
        self._kept: dict[str, Future[Grammar]] = {}
        self._waiting: deque[str] = deque()
        self._compiling = False
        self._taken = False

    async def wanted(self, schema: str) -> Grammar:
        """The grammar of a JSON schema (its text), compiled on the one thread.

        Raises RequestError, 400, for a schema that cannot be kept; UpstreamError, 503, where too many wait.
        """
        told = asyncio.shield(asyncio.wrap_future(self._asked(schema)))  # others may wait for the same
        try:
            return await asyncio.wait_for(told, PATIENCE)
        except TimeoutError:
            raise _busy() from None

    def grammar(self, schema: str) -> Grammar:
        """The same at once, on the caller's thread. Not while another one compiles."""
        core = _core()
        try:
            read = _Reading(json.loads(schema))
            bare, longest = _unbounded(read.plain)
            if _states(bare) << read.choices > MOST_STATES:
                raise ValueError("too many states: lower 'maxLength', 'minLength', 'maxItems', or less in 'anyOf'")
            if _bound_on_top(bare):  # the library takes exponential time where nothing comes behind such a string
                raise ValueError("'minLength' and 'maxLength' at the top: put the string into an object")
            expression = core.json_schema.build_regex_from_schema(json.dumps(bare))
            self._try(core, expression)
            index = core.Index(expression, self._words(core))
        except (ValueError, TypeError, RuntimeError, OverflowError) as error:
            raise _refused(str(error)) from None
        moves = index.get_transitions()
        for after in moves.values():
            after.pop(min(self._ends), None)
        return Grammar(
            moves,
            index.get_initial_state(),
            index.get_final_states(),
            ends=self._ends,
            spelled=self._spelled,
            lengths=self._lengths,
            quoted=self._quoted,
            longest=longest,
        )

    def _asked(self, schema: str) -> Future[Grammar]:
        with self._lock:
            if (known := self._kept.pop(schema, None)) is None:
                if len(self._waiting) + self._taken >= WAITING:
                    raise _busy()
                known = Future()
                known.set_running_or_notify_cancel()  # from here on nobody who waits can cancel it for the others
                self._waiting.append(schema)
                if not self._compiling:
                    self._compiling = True
                    threading.Thread(target=self._work, name="guard-schemas", daemon=True).start()
            self._kept[schema] = known  # the latest last
            return known

    def _work(self) -> None:
        while (job := self._next()) is not None:
            schema, told = job
            try:
                told.set_result(self.grammar(schema))
            except Exception as error:  # noqa: BLE001 - whatever it is, its waiters are told
                with self._lock:
                    self._kept.pop(schema, None)
                told.set_exception(error)

    def _next(self) -> tuple[str, Future[Grammar]] | None:
        with self._lock:
            done = [schema for schema, told in self._kept.items() if told.done()]
            for schema in done[: max(0, len(done) - KEPT)]:
                del self._kept[schema]
            self._compiling = self._taken = bool(self._waiting)
            if not self._waiting:
                return None
            schema = self._waiting.popleft()
            return schema, self._kept[schema]

    def _try(self, core: Any, expression: str) -> None:
        """Raises ValueError where the whole vocabulary would take too long."""
        if len(expression) > LARGEST:
            raise ValueError(f"its expression is longer than {LARGEST} characters")
        moves = core.Index(expression, core.Vocabulary(256, {bytes([byte]): [byte] for byte in range(256)}))
        work = sum(1 + WIDE * (len(after) >= _INSIDE) for after in moves.get_transitions().values())
        if work * self._size > WORK:
            raise ValueError("too many states for this vocabulary: lower 'maxLength', 'minLength', 'maxItems'")

    def _words(self, core: Any) -> Any:
        if self._tokens is None:
            known = ((id, self._vocabulary.bytes(id)) for id in range(self._size) if id not in self._ends)
            self._spelled = {id: spelled for id, spelled in known if spelled}
            for id, text in self._spelled.items():
                self._lengths[id] = sum(byte & 0xC0 != 0x80 for byte in text) + text.endswith(b"\\")
                self._quoted[id] = b'"' in text
            words: dict[bytes, list[int]] = {}
            for id, spelled in self._spelled.items():
                words.setdefault(spelled, []).append(id)
            self._tokens = core.Vocabulary(min(self._ends), words)
        return self._tokens


class _Reading:
    """`plain`: the schema in the few words that outlines keeps exactly. Raises ValueError for what it does not."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._choices = 0
        self._parts = 0
        self.plain = self._part(root, 0)
        self.choices = min(self._choices, 32)
        """Objects and arrays that others in their `anyOf` may look alike to: each may double the states."""

    def _part(self, part: Any, depth: int) -> dict[str, Any]:
        """A part in outlines' words."""
        if depth > DEEPEST:
            raise ValueError(f"it is nested deeper than {DEEPEST}, or '$ref' leads back to itself")
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise ValueError(f"it has more than {MOST_PARTS} parts")
        if not isinstance(part, dict):
            raise ValueError(f"{part!r:.40} stands where a schema with a 'type' must")
        said = part.keys() - _SILENT
        if "$ref" in said:
            return self._part(self._referred(_only("$ref", part, said)), depth + 1)
        for name in _ANY_OF:
            if name in said:
                return self._any(name, _only(name, part, said), depth + 1)
        if said & set(_LITERAL):
            return _literal(part, said)
        kind = part.get("type", next((k for k in ("object", "array") if said & _KINDS[k]), None))
        if isinstance(kind, list):
            known = frozenset[str]().union(*(_KINDS.get(k, ()) for k in kind if isinstance(k, str)))
            _none(said - known - {"type"})
            each = [{n: v for n, v in part.items() if n in _SILENT | _KINDS.get(str(k), set())} for k in kind]
            return self._any("type", [{**one, "type": k} for one, k in zip(each, kind, strict=True)], depth + 1)
        if not isinstance(kind, str) or kind not in _KINDS:
            raise ValueError(f"'type' is {kind!r:.40}; name one of {', '.join(_KINDS)}")
        _none(said - _KINDS[kind] - {"type"})
        if kind == "object":
            return self._object(part, depth + 1)
        if kind == "array":
            return self._array(part, depth + 1)
        return _string(part) if kind == "string" else {"type": kind}

    def _referred(self, name: Any) -> Any:
        where = re.fullmatch(r"#/(\$defs|definitions)/([^/~%]+)", str(name))
        found = self._root.get(where[1]) if where else None
        if not where or not isinstance(found, dict) or where[2] not in found:
            raise ValueError(f"'$ref' {name!r:.60} leads nowhere; refer to '#/$defs/…'")
        return found[where[2]]

    def _any(self, name: str, members: Any, depth: int) -> dict[str, Any]:
        if not isinstance(members, list) or not members:
            raise ValueError(f"{name!r} must be a list of schemas, one at least")
        if name == "allOf" and len(members) > 1:
            raise ValueError("'allOf' of more than one schema is not kept: merge them into one")
        read = [self._part(member, depth) for member in members]
        self._choices += max(0, sum(one.get("type") in ("object", "array") for one in read) - 1)
        return read[0] if len(read) == 1 else {"anyOf": read}

    def _object(self, part: dict[str, Any], depth: int) -> dict[str, Any]:
        properties, others = part.get("properties"), part.get("additionalProperties")
        required = part.get("required", [])
        if properties is None and isinstance(others, dict) and not required:
            return {"type": "object", "additionalProperties": self._part(others, depth)}
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise ValueError("an object of anything is not kept: name its 'properties'")
        if any(name not in properties for name in required):
            raise ValueError("'required' names what 'properties' does not hold")
        if odd := [name for name in properties if json.dumps(name, ensure_ascii=False) != f'"{name}"']:
            raise ValueError(f"'properties' {odd[0]!r:.60}: quotes, backslashes and control characters are not kept")
        read = {name: self._part(value, depth) for name, value in properties.items()}
        return {"type": "object", "properties": read, "required": required, "additionalProperties": False}

    def _array(self, part: dict[str, Any], depth: int) -> dict[str, Any]:
        items = self._part(part.get("items"), depth)
        return {"type": "array", "items": items, **_bounds(part, "minItems", "maxItems")}


def _bound_on_top(part: Mapping[str, Any]) -> bool:
    return any(map(_bound_on_top, part.get("anyOf", ()))) or not {"minLength", "maxLength"}.isdisjoint(part)


def _states(part: Mapping[str, Any]) -> int:
    """States of a part in outlines' words, roughly and at worst."""
    if "enum" in part or "anyOf" in part:
        return sum(map(_states, part["anyOf"])) if "anyOf" in part else len(json.dumps(part["enum"]))
    if "properties" in part:
        twice = 1 if part["required"] else 2
        return 8 + twice * sum(8 + len(name.encode()) + _states(each) for name, each in part["properties"].items())
    if "additionalProperties" in part:
        return 120 + 2 * _states(part["additionalProperties"])
    counts: list[int] = [
        bound for name, bound in part.items() if name in ("minItems", "maxItems", "minLength", "maxLength")
    ]
    if part["type"] == "array":
        return (4 + _states(part["items"])) * max([2, *counts])
    return 40 + 10 * max([0, *counts])


def _string(part: dict[str, Any]) -> dict[str, Any]:
    bounds, format = _bounds(part, "minLength", "maxLength"), part.get("format")
    if format is None:
        return {"type": "string", **bounds}
    if bounds or not isinstance(format, str) or format not in _FORMATS:
        raise ValueError(f"'format' {format!r:.40} is not kept, nor beside a bound: one of {', '.join(_FORMATS)}")
    return {"type": "string", "pattern": _FORMATS[format]}


def _literal(part: dict[str, Any], said: Collection[str]) -> dict[str, Any]:
    _none(set(said) - {*_LITERAL, "type"})
    values = part.get("enum", [part.get("const")])
    if not isinstance(values, list):
        raise ValueError("'enum' must be a list of values")
    if any(isinstance(value, (list, dict)) for value in values):
        raise ValueError("'enum' and 'const' of lists and objects are not kept: describe them by 'properties', 'items'")
    if any(isinstance(value, int) and abs(value) >= 2**53 for value in values):
        raise ValueError("'enum' and 'const' of numbers beyond 2**53 are not kept: use strings")
    kinds = part.get("type", list(_KINDS))
    kinds = kinds if isinstance(kinds, list) else [kinds]
    fit = [v for v in values if _kind(v) in kinds or ("number" in kinds and _kind(v) == "integer")]
    fit = [v for v in fit if "const" not in part or (_kind(v), v) == (_kind(part["const"]), part["const"])]
    if not fit:
        raise ValueError("'enum' leaves no value of its 'type': name one at least")
    return {"enum": fit}


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
    return kinds.get(type(value), "null")


def _bounds(part: dict[str, Any], least: str, most: str) -> dict[str, int]:
    bounds = {name: part[name] for name in (least, most) if name in part}
    for name, bound in bounds.items():
        if type(bound) is not int or bound < 0:
            raise ValueError(f"{name!r} is {bound!r:.40}; it must be a whole number, 0 or more")
    if bounds.get(least, 0) > bounds.get(most, bounds.get(least, 0)):
        raise ValueError(f"{least!r} is above {most!r}")
    return bounds


def _only(name: str, part: dict[str, Any], said: Collection[str]) -> Any:
    _none(set(said) - {name}, f" beside {name!r}")
    return part[name]


def _none(names: Iterable[str], where: str = "") -> None:
    for name in sorted(names):
        raise ValueError(f"{name!r:.40}{where} is not kept: leave it out, or use a vLLM server (backend: openai)")


def _core() -> Any:
    try:
        return importlib.import_module("outlines_core")
    except ModuleNotFoundError:
        raise _refused("the engine for it is not installed: pip install 'premise-guard[local]'") from None


def _busy() -> UpstreamError:
    return UpstreamError("too many schemas of response_format wait to be read; try again in a few seconds", status=503)


def _refused(why: str) -> RequestError:
    what = f"response_format: this schema cannot be kept ({' '.join(why.split())[:200]})"
    return RequestError(f"{what}; leave it out or make it simpler", param="response_format", code="unsupported_schema")


def _unbounded(schema: Any) -> tuple[Any, int | None]:
    """The schema without its `maxLength` and that bound, where rule 2 holds; else the schema as it is."""
    bounds = set[Any]()

    def bare(part: Any) -> Any:
        if isinstance(part, list):
            return [bare(each) for each in part]
        if not isinstance(part, dict):
            return part
        if part.get("type") == "string" and "pattern" not in part:
            bounds.add(None if "minLength" in part else part.get("maxLength"))
            part = {key: value for key, value in part.items() if key != "maxLength"}
        return {key: bare(value) for key, value in part.items()}

    stripped = bare(schema)
    only = next(iter(bounds)) if len(bounds) == 1 else None
    return (stripped, only) if type(only) is int and only >= LONG else (schema, None)
