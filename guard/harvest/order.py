"""What an export was asked for, and the command that asks for it again, as a card may show it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from guard.errors import ConfigError
from guard.harvest.maker import Job
from guard.harvest.seen import Dedupe
from guard.harvest.selecting import PRECISION

STORE = "sqlite:///guard.db"
ENGINES = ("local", "ray")
_WITHHELD = ("user", "session", "conversation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The options of `guard export`.

    Attributes:
        store: the log; with an `archive`, where its judgements are (None: none are read).
        where: conditions, see `Filter.where`.
        validation: share of the conversations that validate (0..1).
        card: whether a card is written; None: where the output is a folder.
        trust: precision from which on a check's findings need no review of each.
        licence: of the texts, for the card.
        as_json: report as JSON.
    """

    format: str
    out: Path
    store: str | None = None
    archive: str | None = None
    where: Sequence[str] = ()
    tokenizer: str | None = None
    unreviewed: bool = False
    at: str | None = None
    dedupe: str = "exact"
    validation: float = 0.0
    card: bool | None = None
    trust: float = PRECISION
    engine: str = "local"
    licence: str | None = None
    as_json: bool = False

    def demand(self) -> Dedupe:
        """The way of de-duplicating. Raises ConfigError: it is none, or the engine is none, or cannot read a store."""
        if self.engine not in ENGINES:
            raise ConfigError(f"--engine {self.engine!r} is none of {', '.join(ENGINES)}")
        if self.engine == "ray" and self.archive is None:
            raise ConfigError("--engine 'ray' reads an archive: make one with guard archive and name it with --archive")
        ways: tuple[Dedupe, ...] = get_args(Dedupe)
        for way in ways:
            if way == self.dedupe:
                return way
        raise ConfigError(f"--dedupe {self.dedupe!r} is none of {', '.join(get_args(Dedupe))}")

    def job(self, trusted: Sequence[str] = ()) -> Job:
        """What is made of each record."""
        return Job(
            format=self.format,
            at=self.at,
            tokenizer=self.tokenizer,
            unreviewed=self.unreviewed,
            trusted=tuple(trusted),
            near=self.dedupe == "near",
        )

    def command(self) -> str:
        """The command. It names no place of this machine, no password, and nobody; the engine changes nothing."""
        return shlex.join(["guard", "export", self.format, *self._words()])

    def _words(self) -> Iterator[str]:
        yield from ("--out", self.out.name or "OUT")
        if self.archive is not None:
            yield from ("--archive", _place(self.archive, "ARCHIVE"))
        # With an archive the default is to have no store.
        if self.store is not None and (self.archive is not None or self.store != STORE):
            yield from ("--store", _place(self.store, "STORE"))
        for condition in self.where:
            name = condition.partition("=")[0].strip()
            yield from ("--where", f"{name}=..." if name in _WITHHELD else condition)
        if self.tokenizer:
            yield from ("--tokenizer", Path(self.tokenizer).name if Path(self.tokenizer).exists() else self.tokenizer)
        if self.at:
            yield from ("--at", self.at)
        if self.unreviewed:
            yield "--unreviewed"
        yield from ("--trust", str(self.trust)) if self.trust != PRECISION else ()
        yield from ("--dedupe", self.dedupe) if self.dedupe != "exact" else ()
        yield from ("--validation", str(self.validation)) if self.validation else ()
        if self.card:
            yield "--card"
        yield from ("--licence", self.licence) if self.licence else ()


def _place(url: str, otherwise: str) -> str:
    """A URL that names no more than a file or a folder beside; else a word in its place."""
    path = url.removeprefix("sqlite:///")
    plain = ":" not in path and "@" not in path and not Path(path).is_absolute() and ".." not in Path(path).parts
    return url if plain else otherwise
