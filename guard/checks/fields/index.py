"""A context's structured evidence, looked up by what a sentence may call it, for `guard.checks.fields`.

It knows fields and names; no sentences. A `Switch` is what there is or is not: true or false, "yes" or "no", "free",
null. A group of switches (``BusinessParking: {garage: false, street: true}``) is a switch of its own, and its members
count only where the group is named too; a mere container (``attributes``, ``amenities``) is no group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

from guard.checks.fields.naming import compact, names_of, stem, words_of
from guard.checks.fields.records import Field, Structure
from guard.checks.fields.schedule import Schedule, schedules
from guard.checks.fields.statement import WORD

MEMBERS = 8
"""Members of a group that a correction names."""
BEGINNING = 5
"""Letters by which two longer words count as one: "vegetarian", "vegetable" do, which errs on the side of silence."""
State = bool | None
_YES = frozenset("yes y true free paid available included allowed accepted".split())
_NO = frozenset("no n false none not_available unavailable not_allowed not_included never".split())
_UNKNOWN = frozenset(("", "null", "n/a", "na", "unknown", "-", "?", "unspecified", "nan"))
_CONTAINERS = frozenset(
    "attributes attribute amenities features properties facilities services settings data details info result results"
    " business hotel restaurant record item product specs specifications flags policies perks general".split()
)


@dataclass(frozen=True, slots=True)
class Switch:
    """One thing that there is or is not; `group` holds the names of the group that must be named with it."""

    label: str
    state: State
    told: str
    field: Field
    group: frozenset[str] = frozenset()
    is_group: bool = False
    is_choice: bool = True

    @property
    def record(self) -> int:
        """The record that it is from."""
        return self.field.record


@dataclass(frozen=True, slots=True)
class Index:
    """What is looked up.

    Attributes:
        switches: by compact name.
        values: fields with a number or a short text, by compact name.
        schedules: opening hours.
        counts: lengths of lists by compact name.
        words: stems, and pairs of stems, of the prose beside the fields.
        known: the same for everything, keys and numbers included; `valued`: without keys; `beginnings`: the first
            letters of longer words.
        subjects: the stems of what each record is called.
    """

    switches: dict[str, tuple[Switch, ...]]
    values: dict[str, tuple[Field, ...]]
    schedules: tuple[Schedule, ...]
    counts: dict[str, tuple[Field, ...]]
    words: frozenset[str]
    known: frozenset[str]
    valued: frozenset[str]
    beginnings: frozenset[str]
    subjects: dict[int, frozenset[str]]
    fields: tuple[Field, ...]

    def about(self, found: Sequence[Of], names: set[str]) -> Sequence[Of]:
        """Those of the records that are named, all where none is."""
        return [one for one in found if not self.subjects.get(one.record, frozenset()).isdisjoint(names)] or found


class _Recorded(Protocol):
    @property
    def record(self) -> int: ...


Of = TypeVar("Of", bound=_Recorded)


def index(structure: Structure) -> Index:
    """The look-up of what the passages hold."""
    listed = [*_switches(structure.fields)]
    switches: dict[str, list[Switch]] = {}
    for names, switch in listed:
        for name in names:
            switches.setdefault(name, []).append(switch)
    texts = [field.value for field in structure.fields if isinstance(field.value, str)]
    words = _stems(structure.prose)
    numbers = {f"{field.value:g}" for field in structure.fields if isinstance(field.value, float)}
    valued = words | _stems(texts) | numbers
    known = valued | _stems(
        " ".join(words_of(key)) for key in {key for field in structure.fields for key in field.path}
    )
    return Index(
        {name: tuple(found) for name, found in switches.items()},
        _named(field for field in structure.fields if _is_value(field)),
        schedules(structure.fields),
        _named(structure.counts),
        words,
        known,
        valued,
        frozenset(word[:BEGINNING] for word in known if len(word) >= BEGINNING),
        _subjects(structure.fields),
        structure.fields,
    )


def state_of(field: Field) -> tuple[bool, State]:
    """Whether the field is a switch, and how it stands."""
    value = field.value
    if value is None or isinstance(value, bool):
        return True, value
    if isinstance(value, float):
        return False, None
    text = value.strip().lower().replace(" ", "_")
    if text in _UNKNOWN:
        return True, None
    is_switch = text in _YES or text in _NO
    return is_switch, text in _YES if is_switch else None


def _is_value(field: Field) -> bool:
    return isinstance(field.value, float) or (isinstance(field.value, str) and not state_of(field)[0])


def _named(fields: Iterable[Field]) -> dict[str, tuple[Field, ...]]:
    named: dict[str, list[Field]] = {}
    for field in fields:
        for name in names_of(field.path[-1]) if field.path else ():
            named.setdefault(name, []).append(field)
    return {name: tuple(found) for name, found in named.items()}


def _switches(fields: tuple[Field, ...]) -> Iterable[tuple[tuple[str, ...], Switch]]:
    groups: dict[tuple[int, tuple[str, ...]], list[tuple[Field, State]]] = {}
    for field in fields:
        is_switch, state = state_of(field)
        if is_switch and field.path and not field.in_list and "hour" not in names_of(field.path[-1]):
            groups.setdefault((field.record, field.path[:-1]), []).append((field, state))
    beside = Counter((field.record, field.path[:depth]) for field in fields for depth in range(1, len(field.path)))
    scalars = Counter((field.record, field.path[:-1]) for field in fields if not field.in_list)
    for (record, path), members in groups.items():
        group = _group(path, members) if beside[record, path] == len(members) else ()
        is_choice = 2 * len(members) > scalars[record, path]
        for field, state in members:
            label = f"{path[-1]} {field.path[-1]}" if group else field.path[-1]
            yield (
                names_of(field.path[-1]),
                Switch(label, state, _told(field), field, frozenset(group), is_choice=is_choice),
            )
        if group:
            states = [state for _, state in members]
            whole = True if True in states else (False if all(s is False for s in states) else None)
            shown = next((field for field, state in members if state is whole), members[0][0])
            told = ", ".join(f"{field.path[-1]} {_told(field) or 'unknown'}" for field, _ in members[:MEMBERS])
            yield group, Switch(path[-1], whole, told if whole is not None else "", shown, is_group=True)


def _told(field: Field) -> str:
    """A switch's value in words, empty where it is left open."""
    if isinstance(field.value, bool):
        return "yes" if field.value else "no"
    return "" if state_of(field)[1] is None else str(field.value)


def _group(path: tuple[str, ...], members: list[tuple[Field, State]]) -> tuple[str, ...]:
    """The names of a group of switches, empty for a container."""
    if len(members) < 2 or not path or set(words_of(path[-1])) <= _CONTAINERS:
        return ()
    return names_of(path[-1])


def _stems(texts: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    for text in texts:
        stems = [stem(word) for word in WORD.findall(text)]
        found.update(stems)
        found.update(first + second for first, second in pairwise(stems))
    return frozenset(found)


def _subjects(fields: tuple[Field, ...]) -> dict[int, frozenset[str]]:
    """What each record is called: its name, title or identifier."""
    found: dict[int, frozenset[str]] = {}
    for field in fields:
        last = words_of(field.path[-1])[-1:] if field.path else []
        if last and last[0] in ("name", "title", "id", "sku", "model", "product", "city") and field.record not in found:
            found[field.record] = frozenset([compact(WORD.findall(str(field.value)))])
    return found
