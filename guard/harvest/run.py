"""One export, from records to files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from guard.errors import ConfigError
from guard.harvest.counts import Counts
from guard.harvest.maker import Made
from guard.harvest.seen import Dedupe
from guard.harvest.sink import Harvested, Place, sink
from guard.harvest.writing import whole


def run(
    made: Iterable[Made],
    counted: Counts,
    to: Place,
    out: Path,
    *,
    dedupe: Dedupe = "exact",
    share: float = 0.0,
    card: Callable[[Harvested], str] | None = None,
) -> Harvested:
    """Write `made` to the files of `to`, and the card that `card` makes of what was written; all of them, or none.

    `counted` is what the makers of the rows count in. Raises ConfigError: the files cannot be written.
    """
    paths = [*to.splits.values(), *([to.card] if to.card and card else [])]
    try:
        if to.made:
            to.made.mkdir()
        with whole(paths, out) as files:
            done = Harvested(files=dict(zip(to.splits, files, strict=False)), counts=counted)
            sink(made, done, dedupe, share)
            if to.card and card:
                files[-1].file.write(card(done).encode("utf-8", "replace"))
    except BaseException as error:
        if to.made:
            with suppress(OSError):  # it was not made, or somebody has put something there
                to.made.rmdir()
        if isinstance(error, OSError):
            raise ConfigError(f"--out {str(out)!r} cannot be written: {error.strerror or error}") from None
        raise
    return done
