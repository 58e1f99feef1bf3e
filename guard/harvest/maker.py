"""Records in, rows out: selected, made by a format's exporter, written as JSON, with what the sink must know of each.

The same function for every engine. Knows exporters; knows neither where records come from nor where rows go. A row of
a plug-in's format is made of one record, or of all of a turn where the format says so (`OF_TURNS`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from guard import registry
from guard.core.records import InterruptionRecord, Review, SessionRecord
from guard.errors import ConfigError, MissingExtra
from guard.exporters import Exporter, OfSessions, Placed, Row
from guard.harvest import alike, counts
from guard.harvest.counts import Counts
from guard.harvest.fragments import is_fragment
from guard.harvest.split import utf8
from guard.targets.selection import up_to_missed

OF_TURNS = frozenset({"clean"})
"""Formats of which a row is made of all the interruptions of a turn."""

ABOUT = frozenset(
    "id version channel check correct late review known mistake conversation model policy policy_hash synthesised "
    "session corrections".split()
)
"""Columns that say where a row comes from, and nothing of what is learnt from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is made of the records; small, and sent to other processes as it is.

    Attributes:
        format: an exporter's name; `at`: a place of its rows, where it has more than one.
        tokenizer: a directory or a hub name; one that every machine at work finds.
        trusted: checks whose findings are taken without a review of each.
        near: whether nearly equal rows are to be found.
    """

    format: str
    at: str | None = None
    tokenizer: str | None = None
    unreviewed: bool = False
    trusted: tuple[str, ...] = ()
    near: bool = False

    @property
    def of_turns(self) -> bool:
        """Whether a row is made of all the interruptions of a turn."""
        return self.format in OF_TURNS


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A row on its way to the file.

    Attributes:
        at, key, number: its place in the order: when its record was cut, that record's id, and which row of it.
        line: the row as JSON.
        same, near: digests to compare it by, see `alike`; near is b"" where that is not asked.
        conversation: of its record; a split keeps them together.
        fragment: what it rejects was cut off before a sentence ended.
    """

    at: float
    key: str
    number: int
    line: bytes
    same: bytes
    near: bytes
    conversation: str
    fragment: bool


def exporter_of(job: Job) -> Exporter:
    """The format's exporter. Raises UnknownPlugin, or ConfigError: the format has no such place."""
    found = registry.exporter(job.format)
    if job.at is None:
        return found
    if not isinstance(found, Placed):
        raise ConfigError(f"--at {job.at!r} is for a format with more than one place, such as preference; leave it out")
    return found.at(job.at)


class Maker:
    """Makes a job's rows, and counts. Raises ConfigError, at once, for what cannot be made at all."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._exporter = exporter_of(job)
        self._whole = self._exporter if isinstance(self._exporter, OfSessions) else None
        self._tokenizer = tokenizer_of(job.tokenizer) if job.tokenizer else None
        list(self._of_sessions([], {}, Counts()) if self.of_sessions else self._of_records([], Counts()))

    @property
    def of_sessions(self) -> bool:
        """Whether rows are made of sessions; else of interruptions."""
        return self._whole is not None

    def selected(
        self, records: Iterable[InterruptionRecord], missed: Mapping[str, Sequence[str]], counted: Counts
    ) -> Iterator[InterruptionRecord]:
        """The records that the format takes, each up to what reviewers say guard `missed` in its turn."""
        for record in records:
            kinds = counts.of_interruption(record)
            counted.seen.update(kinds)
            wanted = self._exporter.select([record], unreviewed=self._job.unreviewed, trusted=self._job.trusted)
            for taken in wanted:
                counted.taken.update(kinds)
                yield up_to_missed(taken, missed.get(taken.interruption.id.rpartition(".")[0], ()))

    def rows(self, records: Sequence[InterruptionRecord], counted: Counts) -> Iterator[Made]:
        """The rows of one selected record, or of the records of one turn."""
        last = records[-1]
        for number, row in enumerate(self._of_records(records, counted)):
            yield from self._made(row, last.at, last.interruption.id, number, last.provenance.conversation, counted)

    def session_rows(
        self, sessions: Iterable[SessionRecord], reviews: Mapping[str, Review], counted: Counts
    ) -> Iterator[Made]:
        """The rows of sessions."""
        for session in sessions:
            source, kinds = session.provenance, counts.of_session(session)
            counted.seen.update(kinds)
            number = -1
            for number, row in enumerate(self._of_sessions([session], reviews, counted)):
                yield from self._made(row, source.started, source.session, number, source.conversation, counted)
            if number >= 0:
                counted.taken.update(kinds)

    def _of_records(self, records: Sequence[InterruptionRecord], counted: Counts) -> Iterator[Row]:
        return self._exporter.rows(records, tokenizer=self._tokenizer, skipped=counted.left)

    def _of_sessions(
        self, sessions: Sequence[SessionRecord], reviews: Mapping[str, Review], counted: Counts
    ) -> Iterator[Row]:
        assert self._whole is not None
        job = self._job
        return self._whole.session_rows(
            sessions,
            reviews,
            unreviewed=job.unreviewed,
            trusted=job.trusted,
            tokenizer=self._tokenizer,
            skipped=counted.left,
        )

    def _made(self, row: Row, at: float, key: str, number: int, conversation: str, counted: Counts) -> Iterator[Made]:
        try:
            line = msgspec.json.encode(row)
        except UnicodeEncodeError:  # a lone surrogate in a model's text
            counted.left["not Unicode"] += 1
            return
        same = alike.exact(row, ABOUT)
        near = alike.near(row, ABOUT) if self._job.near else b""
        cut_off = self._job.format == "preference" and is_fragment(row)
        yield Made(
            at=at,
            key=utf8(key),
            number=number,
            line=line,
            same=same,
            near=near,
            conversation=utf8(conversation),
            fragment=cut_off,
        )


def tokenizer_of(name: str) -> Any:
    """A tokenizer. Raises MissingExtra, or ConfigError: it cannot be loaded."""
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise MissingExtra("--tokenizer needs transformers: pip install 'premise-guard[local]'") from None
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--tokenizer {name!r} cannot be loaded: {str(error).splitlines()[0]}") from None
