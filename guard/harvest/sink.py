"""Where rows end: the first of what is the same is written, into its split.

Takes rows in their order, from whatever engine made them; the same rows in the same order give the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from guard.errors import ConfigError
from guard.harvest.counts import Counts
from guard.harvest.features import Features
from guard.harvest.maker import Made
from guard.harvest.seen import Dedupe, Seen
from guard.harvest.split import Split, split_of
from guard.harvest.writing import Written

CARD = "README.md"
MADE_BY = "<!-- Made by guard export; written over by the next one. -->"
"""A line of every card, so that nobody's own file is taken for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which files an export has.

    Attributes:
        splits: the file of each split.
        card: where the card goes, or None.
        made: the folder, where it was not there before.
        others: what else lies in the folder, and is not hidden.
    """

    splits: Mapping[Split, Path]
    card: Path | None
    made: Path | None = None
    others: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvested:
    """What was written.

    Attributes:
        files: of each split.
        counts: the records behind the rows.
        dropped: rows that were made and not written, by reason.
        features: the columns' types, as a card has them.
        fragments: rows whose rejected text ends before a sentence does.
    """

    files: Mapping[Split, Written]
    counts: Counts
    dropped: Counter[str] = field(default_factory=Counter)
    features: Features = field(default_factory=Features)
    fragments: Counter[Split] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """How many rows were written."""
        return sum(file.rows for file in self.files.values())

    @property
    def left_out(self) -> Counter[str]:
        """By reason, what was selected and is no row."""
        return self.counts.left + self.dropped


def place(out: Path, share: float, card: bool | None) -> Place:
    """The files of an export to `out`: a folder where it is one, has no suffix, or two splits need one; else a file.

    A folder has a card unless it is declined, a file only where it is asked for. Raises ConfigError: `share` is none,
    or something that is no export's stands in the way.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"--validation {share!r} is no share; say 0.05 for one conversation in twenty")
    folder = out.is_dir() or share > 0 or not (out.suffix or out.exists())
    if folder and out.exists() and not out.is_dir():
        raise ConfigError(f"--out {str(out)!r} is a file, and two splits need a folder; name one")
    if share and out.suffix and not out.exists():
        raise ConfigError(
            f"--out {str(out)!r} is named like a file, and two splits need a folder: say --out "
            f"{str(out.with_suffix(''))!r}, or make a folder of that name first"
        )
    splits: dict[Split, Path] = {"train": out / "train.jsonl" if folder else out}
    if share:
        splits["validation"] = out / "validation.jsonl"
    elif folder and (out / "validation.jsonl").exists():
        raise ConfigError(
            f"--out {str(out)!r} has the validation.jsonl of another export; remove it, or say --validation"
        )
    beside = (out if folder else out.parent) / CARD
    wanted = folder if card is None else card
    if wanted and beside.exists() and not _is_card(beside):
        raise ConfigError(f"{str(beside)!r} is no card of an export's; say --no-card, or name another place")
    made = folder and not out.exists()
    return Place(
        splits=splits,
        card=beside if wanted else None,
        made=out if made else None,
        others=_others(out, splits) if folder else (),
    )


def sink(made: Iterable[Made], to: Harvested, dedupe: Dedupe, share: float) -> None:
    """Write rows, as they come, to the files of `to`."""
    with closing(Seen()) as seen:
        for row in made:
            split = split_of(row.conversation, share)
            why = "" if dedupe == "none" else seen.again(row.same, row.near if dedupe == "near" else b"")
            if why:
                to.dropped[why] += 1
                continue
            to.files[split].write(row.line)
            to.fragments[split] += row.fragment
            to.features.see(msgspec.json.decode(row.line))


def _others(folder: Path, splits: Mapping[Split, Path]) -> Sequence[str]:
    """The names of what is in a folder and no part of an export."""
    mine = {CARD, *(path.name for path in splits.values())}
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(name for name in names if name not in mine and not name.startswith("."))


def _is_card(path: Path) -> bool:
    try:
        return MADE_BY in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
