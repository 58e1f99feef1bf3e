"""What the training commands say of the files that they read, and a look at them before anything large is imported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from guard.errors import ConfigError

PREMISES = (
    "Premises, right and wrong, JSON lines such as "
    '{"subject": "Ada Velm", "messages": [{"role": "user", "content": "..."}], '
    '"reasoning": "Ada Velm was born in Dundal.", "wrong": true}; or with `content`, or with `prompt`, the whole text '
    "as the model reads it, instead of `messages`. `probe-no --store URL --save-rows FILE` writes some from the log."
)


def demand_objects(*groups: Iterable[Path] | None) -> None:
    """Raises ConfigError where one of these files cannot be read or does not begin with a JSON object."""
    from guard.train.token_rows import lines

    for path in (path for group in groups for path in group or ()):
        if next(lines([path]), None) is None:
            raise ConfigError(f"{str(path)!r}: there are no rows")
