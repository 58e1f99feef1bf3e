"""A data set's card: what is in it, how it was chosen, what was left out and why, and how to make it again.

Markdown with the front matter that `datasets.load_dataset(FOLDER)` reads. Rules:

- The same log and the same command give the same card: it has no date of its own, and nothing of where it was made.
- What stands in the log is untrusted: it is quoted, and can be neither markup nor a link.
- No place, no password and nobody's id is on it: a condition on a user, a session or a conversation is told without
  its value, as are the log's and the archive's URLs.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from guard import __version__
from guard.core.records import VERSION
from guard.harvest import alike, counts
from guard.harvest.selecting import REVIEWS, Trust
from guard.harvest.sink import MADE_BY, Harvested

_CORRECTION = "What a model made up is context in them, and only the correction a target."
_LEARNT = {
    "stepwise": "Each step is labelled right or wrong.",
    "spans": "What a model made up is marked in the texts.",
    "unpaired_preference": "What a model made up is labelled wrong, the correction right.",
    "preference": "What a model made up is context or rejected, and the correction chosen.",
    "documents": "What a model made up is told of in them as a mistake, and marked.",
}
"""What a row teaches, in formats where that is not `_CORRECTION`."""

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~>@$-])")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LONGEST = 200
_YES = ("no", "yes")
_SUBJECT = (
    "Taken were interruptions that were corrected and continued in place, and that reviewers confirmed",
    "Taken were sessions; a flagged segment of them is labelled wrong where reviewers say that it is",
)
_NEVER = (
    "What reviewers rejected, or disagree about, is never taken for a mistake; what they say guard missed, or disagree "
    "about, is never a target (an archive without `--store` does not tell).",
    "What reviewers say is right is never labelled wrong, nor what they say is wrong, or was missed, right; what they "
    "disagree about has no label (an archive without `--store` tells of interruptions alone).",
)
_ALIKE = " Rows that are nearly the same can be in both, where they come from two conversations (see `--dedupe near`)."
_LARGEST = 30
"""Lines of a table."""

_DEDUPED = {
    "exact": "rows of which everything that is trained on and all of its context are the same are written once: the "
    "oldest stands",
    "near": "rows that are the same are written once, and of rows whose last "
    f"{alike.TAIL} characters share {alike.NEAR:.0%} of their {alike.SHINGLE}-word shingles (estimated by MinHash) the "
    "oldest stands",
    "none": "no row was looked for among the others",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the command said, as the card repeats it.

    Attributes:
        format: the exporter's name.
        command: in words, ready to be shown; without places and ids.
        unreviewed: whether what nobody has reviewed was taken.
        precision: from which reviewed precision on a check is trusted.
        trusts: the reviewed checks.
        rates: how much there was to supervise.
        dedupe, share: as the command named them.
        licence: of the texts, or None.
    """

    format: str
    command: str
    unreviewed: bool
    precision: float
    trusts: Sequence[Trust]
    rates: Mapping[str, int]
    dedupe: str
    share: float
    licence: str | None = None


def card(told: Told, done: Harvested) -> str:
    """The card, as Markdown."""
    parts = [
        f"---\n{yaml.safe_dump(_front(told, done), sort_keys=False, allow_unicode=True)}---",
        MADE_BY,
        f"# {quoted(told.format)}",
        f"Training rows of the format {quoted(told.format)}, exported by premise-guard {__version__} from a log whose "
        f"records are of version {VERSION}. {_LEARNT.get(told.format, _CORRECTION)}",
        _files(done),
        "## How to make it again\n\nFrom the same log, with the same version:",
        f"    {_line(told.command)}",
        "## Which records",
        _selection(told, done),
        *([_trusted(told.trusts)] if told.trusts else []),
        "## What was left out",
        _left_out(told, done),
        "## Base rates",
        _rates(told, done),
        *(f"### By {title}\n\n{_table(done, name)}" for title, name in _KINDS if counts.of(done.counts.seen, name)),
        "## Where it comes from",
        _origin(told, done),
    ]
    return "\n\n".join(parts) + "\n"


_KINDS = (
    ("check", "check"),
    ("outcome", "outcome"),
    ("review", "review"),
    ("continuation", "continuation"),
    ("time", "late"),
    ("session", "session"),
)


def quoted(text: str) -> str:
    """Text of the log's as plain text of the card: no markup, no control characters, no more than a line."""
    plain = "".join(c if c.isprintable() else "\ufffd" for c in text)
    short = plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"
    marked = _MARKUP.sub(r"\\\1", html.escape(short, quote=False))
    return marked.replace("://", "\\:\\/\\/").replace("www.", "www\\.") or "(empty)"  # GitHub links either


def _front(told: Told, done: Harvested) -> dict[str, Any]:
    files = [{"split": split, "path": file.name} for split, file in done.files.items() if file.rows]
    front: dict[str, Any] = {}
    if told.licence:
        known = _LICENCE.fullmatch(told.licence.lower())
        front |= (
            {"license": told.licence.lower()} if known else {"license": "other", "license_name": _line(told.licence)}
        )
    front |= {"tags": ["premise-guard"], "size_categories": [_size(done.rows)]}
    if files:
        front["configs"] = [{"config_name": "default", "data_files": files}]
        front["dataset_info"] = {"config_name": "default", "features": done.features.yaml()}
    return front


def _size(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), "n>1M")


def _files(done: Harvested) -> str:
    rows = [(split, file.name, file.rows, file.size, f"`{file.sha256}`") for split, file in done.files.items()]
    return _grid(("split", "file", "rows", "bytes", "SHA-256"), [tuple(map(str, row)) for row in rows])


def _selection(told: Told, done: Harvested) -> str:
    of_sessions = bool(counts.of(done.counts.seen, "session"))
    split = (
        f"\n\nSplit by conversation: about {told.share:.2%} of them validate, drawn by a hash of the conversation; "
        f"none is in both splits, and none changes sides when the log grows.{'' if told.dedupe == 'near' else _ALIKE}"
        if told.share
        else ""
    )
    never = _NEVER[of_sessions]
    deduped = f"De-duplication (`{told.dedupe}`): {_DEDUPED[told.dedupe]}."
    return f"{_SUBJECT[of_sessions]} {_admitted(told)} {never}\n\n{deduped}{split}"


def _admitted(told: Told) -> str:
    if told.unreviewed:
        return "or that nobody had reviewed (`--unreviewed`): **nobody has looked at some of these rows**."
    return (
        f"or that came from a check of whose interruptions reviewers had confirmed {told.precision:.0%} or more (of "
        f"{REVIEWS} or more); `clean` takes none but confirmed ones."
    )


def _trusted(trusts: Sequence[Trust]) -> str:
    rows = [
        (
            quoted(t.check),
            str(t.confirmed),
            str(t.rejected),
            f"{t.precision:.3f}",
            _interval(t),
            _YES[t.enough],
        )
        for t in trusts
    ]
    return _grid(("check", "confirmed", "rejected", "precision", "95 % interval", "trusted"), rows)


def _interval(trust: Trust) -> str:
    low, high = trust.interval
    return f"{low:.3f} to {high:.3f}"


def _left_out(told: Told, done: Harvested) -> str:
    read, taken = (sum(counts.of(each, "record").values()) for each in (done.counts.seen, done.counts.taken))
    first = f"{read} records were read, {taken} selected; the tables below say what the others were."
    rows = [(quoted(why), str(n)) for why, n in sorted(done.left_out.items()) if n]
    return f"{first}\n\n{_grid(('selected and no row, because', 'how many'), rows)}" if rows else first


def _rates(told: Told, done: Harvested) -> str:
    rows = [(quoted(name), str(n)) for name, n in told.rates.items()]
    return _grid(("in all of the log", "how many"), rows) if rows else "The log keeps no count of what was supervised."


def _table(done: Harvested, name: str) -> str:
    seen, taken = (counts.of(each, name) for each in (done.counts.seen, done.counts.taken))
    rows = [(quoted(value), str(n), str(taken.get(value, 0))) for value, n in seen.items()]
    shown, rest = rows[:_LARGEST], len(rows) - _LARGEST
    return _grid((name, "read", "selected"), shown) + (f"\n\nand {rest} more" if rest > 0 else "")


def _origin(told: Told, done: Harvested) -> str:
    taken = done.counts.taken
    days = sorted(counts.of(taken, "day"))
    lines = [f"- days of the records (UTC): {days[0]} to {days[-1]}"] if days else []
    for title, name in (("model", "model"), ("policy, with the hash of its content", "policy"), ("record", "version")):
        lines += [
            f"- {title}: {quoted(value)} ({n} records)" for value, n in list(counts.of(taken, name).items())[:_LARGEST]
        ]
    lines.append(f"- licence of the texts: {quoted(told.licence) if told.licence else 'not said (`--licence`)'}")
    return "\n".join(lines)


def _grid(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
