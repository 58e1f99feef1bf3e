"""Facts files for `guard.checks.knowledge`: what a line means and where facts are looked up.

JSONL: relation lines ``{"relation", "patterns", "negation"?, "unknown"?, "functional"?}`` and fact lines
``{"subject", "relation", "object", "subject_aliases"?, "object_aliases"?}`` in any order. SQLite (``*.db``,
``*.sqlite``), for more facts than fit in memory:

    relations(relation TEXT PRIMARY KEY, patterns TEXT, negation TEXT, unknown TEXT, functional INTEGER)
    facts(id INTEGER PRIMARY KEY, relation, subject, object, subject_aliases TEXT, object_aliases TEXT)
    names(key TEXT, relation TEXT, role TEXT, fact INTEGER), index names_key(key, relation, role)

where lists are JSON, `role` is ``s`` or ``o``, and `names` has `name_key` of every subject, object and alias;
`build_sqlite` writes it. It is opened read-only and asked with point queries. It does not know sentences.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guard.errors import ConfigError

_WORD = re.compile(r"\w+(?:[’'.\-]\w+)*")
_INITIALISM = re.compile(r"[^\W\d_](?:\.[^\W\d_])+")
_ARTICLES = ("the ", "a ", "an ")
_SCHEMA = """
CREATE TABLE relations(relation TEXT PRIMARY KEY, patterns TEXT, negation TEXT, unknown TEXT, functional INTEGER);
CREATE TABLE facts(id INTEGER PRIMARY KEY, relation TEXT, subject TEXT, object TEXT,
                   subject_aliases TEXT, object_aliases TEXT);
CREATE TABLE names(key TEXT, relation TEXT, role TEXT, fact INTEGER);
CREATE INDEX names_key ON names(key, relation, role);
"""
_FACT_COLUMNS = "f.relation, f.subject, f.object, f.subject_aliases, f.object_aliases"
_SAMPLE = 200
"""Objects of a relation in a database that are looked at to tell what kind of things they are."""

Role = tuple[str, str]
"""A place in a relation: (relation, "s" or "o")."""


class Relation(BaseModel):
    """How a relation is said. The first pattern is the canonical statement."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    relation: str
    patterns: tuple[str, ...] = Field(min_length=1)
    negation: str = ""
    unknown: str = ""
    functional: bool = True


class Fact(BaseModel):
    """One fact, with the other names of its subject and object."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: str = Field(min_length=1)
    relation: str
    object: str = Field(min_length=1)
    subject_aliases: tuple[str, ...] = ()
    object_aliases: tuple[str, ...] = ()

    def names(self) -> Iterator[tuple[str, str]]:
        """Every (`name_key`, role) that the fact is found under."""
        for role, listed in (
            ("s", (self.subject, *self.subject_aliases)),
            ("o", (self.object, *self.object_aliases)),
        ):
            yield from ((name_key(name), role) for name in listed)


class Facts(Protocol):
    """Where facts are looked up."""

    def has(self, key: str, relation: str, role: str) -> bool:
        """Whether something of that name stands at that place in some fact."""
        ...

    def about(self, key: str, relation: str) -> Sequence[Fact]:
        """The facts with that subject and relation, in the order of the file."""
        ...

    def kinds(self, relation: str) -> frozenset[Role]:
        """The places at which objects of `relation` stand: who shares one may be of their kind."""
        ...


def words_of(listed: str) -> frozenset[str]:
    """The words of a list that is written as a sentence."""
    return frozenset(listed.split())


def name_words(text: str) -> list[re.Match[str]]:
    """The words of a text, with their places."""
    return list(_WORD.finditer(text))


def name_key(name: str) -> str:
    """What names are compared by: case, punctuation, spacing, a leading article and a possessive do not count."""
    return key_of(_WORD.findall(name))


def key_of(words: Sequence[str]) -> str:
    """`name_key` of a name whose words are known."""
    key = " ".join(_undotted(word) for word in words).casefold().replace("’", "'").removesuffix("'s")
    return key.partition(" ")[2] if key.startswith(_ARTICLES) else key


def _undotted(word: str) -> str:
    return word.replace(".", "") if _INITIALISM.fullmatch(word) else word


class MemoryFacts:
    """Facts of JSONL files, in dictionaries."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._names: dict[str, set[Role]] = {}
        self._about: dict[tuple[str, str], list[Fact]] = {}
        for fact in facts:
            self._add(fact)
        self._kinds: dict[str, set[Role]] = {}
        for roles in self._names.values():
            for relation, role in roles:
                if role == "o":
                    self._kinds.setdefault(relation, set()).update(roles)

    def _add(self, fact: Fact) -> None:
        for key, role in fact.names():
            self._names.setdefault(key, set()).add((fact.relation, role))
            if role == "s" and fact not in self._about.setdefault((key, fact.relation), []):
                self._about[key, fact.relation].append(fact)

    def has(self, key: str, relation: str, role: str) -> bool:
        """See `Facts`."""
        return (relation, role) in self._names.get(key, ())

    def about(self, key: str, relation: str) -> Sequence[Fact]:
        """See `Facts`."""
        return self._about.get((key, relation), ())

    def kinds(self, relation: str) -> frozenset[Role]:
        """See `Facts`."""
        return frozenset(self._kinds.get(relation, ()))


class SqliteFacts:
    """Facts of a database, one point query a question."""

    def __init__(self, path: Path) -> None:
        # One thread asks at a time (the event loop), though not always the one that opened the file.
        self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        self._kinds: dict[str, frozenset[Role]] = {}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __del__(self) -> None:
        if hasattr(self, "_db"):
            self.close()

    def relations(self) -> Iterator[Relation]:
        """The declared relations."""
        for name, patterns, negation, unknown, functional in self._db.execute(
            "SELECT relation, patterns, negation, unknown, functional FROM relations"
        ):
            yield Relation(
                relation=name,
                patterns=json.loads(patterns),
                negation=negation or "",
                unknown=unknown or "",
                functional=functional is None or bool(functional),
            )

    def has(self, key: str, relation: str, role: str) -> bool:
        """See `Facts`."""
        query = "SELECT 1 FROM names WHERE key = ? AND relation = ? AND role = ? LIMIT 1"
        return self._db.execute(query, (key, relation, role)).fetchone() is not None

    def about(self, key: str, relation: str) -> Sequence[Fact]:
        """See `Facts`."""
        query = (
            f"SELECT DISTINCT f.id, {_FACT_COLUMNS} FROM names n JOIN facts f ON f.id = n.fact "  # noqa: S608 - constants
            "WHERE n.key = ? AND n.relation = ? AND n.role = 's' ORDER BY f.id LIMIT 100"
        )
        return [_fact_of_row(row[1:]) for row in self._db.execute(query, (key, relation))]

    def kinds(self, relation: str) -> frozenset[Role]:
        """See `Facts`; from a sample of the relation's objects."""
        if relation not in self._kinds:
            names = "SELECT key FROM names WHERE relation = ? AND role = 'o' LIMIT ?"
            keys = [key for (key,) in self._db.execute(names, (relation, _SAMPLE))]
            places = [(r, role) for (r,) in self._db.execute("SELECT relation FROM relations") for role in "so"]
            shared = frozenset(place for place in places if any(self.has(key, *place) for key in keys))
            self._kinds[relation] = shared
        return self._kinds[relation]


def _fact_of_row(row: Sequence[Any]) -> Fact:
    relation, subject, object_, subject_aliases, object_aliases = row
    return Fact(
        relation=relation,
        subject=subject,
        object=object_,
        subject_aliases=json.loads(subject_aliases or "[]"),
        object_aliases=json.loads(object_aliases or "[]"),
    )


def load(paths: Sequence[Path]) -> tuple[list[Facts], list[Relation]]:
    """Read facts files; relations declared in any of them count for all. Raises `ConfigError`."""
    stores: list[Facts] = []
    relations: dict[str, Relation] = {}
    facts: list[tuple[Path, int, Fact]] = []
    for path in paths:
        if not path.is_file():
            raise ConfigError(f"facts file {str(path)!r} does not exist; name a .jsonl, .db or .sqlite file")
        if path.suffix in (".db", ".sqlite"):
            store = _open_sqlite(path)
            stores.append(store)
            relations |= {relation.relation: relation for relation in _sqlite_relations(path, store)}
        else:
            for number, line in _lines(path):
                if isinstance(line, Relation):
                    relations[line.relation] = line
                else:
                    facts.append((path, number, line))
    _declared(facts, relations)
    if facts:
        stores.append(MemoryFacts(fact for _, _, fact in facts))
    return stores, list(relations.values())


def _open_sqlite(path: Path) -> SqliteFacts:
    store = SqliteFacts(path)
    try:
        store.has("", "", "s")
        store.about("", "")
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"facts file {str(path)!r}: {error}; write it with build_sqlite") from None
    return store


def _sqlite_relations(path: Path, store: SqliteFacts) -> list[Relation]:
    try:
        return list(store.relations())
    except (sqlite3.DatabaseError, ValueError) as error:
        raise ConfigError(f"facts file {str(path)!r}: relations: {_one_line(error)}") from None


def _lines(path: Path) -> Iterator[tuple[int, Relation | Fact]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield number, _line(path, number, text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"facts file {str(path)!r}: {error}; save it as UTF-8") from None


def _line(path: Path, number: int, text: str) -> Relation | Fact:
    try:
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError(f"{data!r} is no object")
        return Relation(**data) if "patterns" in data else Fact(**data)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"facts file {str(path)!r}, line {number}: {_one_line(error)}; "
            'write {"relation", "patterns"} or {"subject", "relation", "object"}'
        ) from None


def _one_line(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])!r}: {first['msg']} (got {first['input']!r})"


def _declared(facts: Iterable[tuple[Path, int, Fact]], relations: dict[str, Relation]) -> None:
    for path, number, fact in facts:
        if fact.relation not in relations:
            raise ConfigError(
                f"facts file {str(path)!r}, line {number}: relation {fact.relation!r} is not declared; "
                f'add a line {{"relation": {json.dumps(fact.relation)}, "patterns": [...]}}'
            )


def build_sqlite(jsonl: Path, out: Path) -> int:
    """Write the facts of a JSONL file as a database that is not there yet; return how many. Raises `ConfigError`."""
    if out.exists():
        raise ConfigError(f"{str(out)!r} exists; remove it first")
    count = 0
    with closing(sqlite3.connect(out)) as db:
        db.executescript(_SCHEMA)
        for _, line in _lines(jsonl):
            count += _insert(db, line)
        db.commit()
    return count


def _insert(db: sqlite3.Connection, line: Relation | Fact) -> int:
    if isinstance(line, Relation):
        row = (line.relation, json.dumps(line.patterns), line.negation, line.unknown, int(line.functional))
        db.execute("INSERT INTO relations VALUES (?, ?, ?, ?, ?)", row)
        return 0
    aliases = (json.dumps(line.subject_aliases), json.dumps(line.object_aliases))
    cursor = db.execute(
        "INSERT INTO facts(relation, subject, object, subject_aliases, object_aliases) VALUES (?, ?, ?, ?, ?)",
        (line.relation, line.subject, line.object, *aliases),
    )
    names = [(key, line.relation, role, cursor.lastrowid) for key, role in line.names()]
    db.executemany("INSERT INTO names VALUES (?, ?, ?, ?)", names)
    return 1
