"""A training set with given shares of several kinds of rows, drawn so that the shares are exact.

Shares are of rows. Every kind is gone through in a shuffled order, again and again, so that no row is drawn twice
before each of its kind was drawn once. Knows nothing of models; the same seed draws the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from guard.errors import ConfigError
from guard.train.token_rows import TokenRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Rows of one kind and the share, 0 to 1, of all rows that are to be of it."""

    rows: Sequence[TokenRow]
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What a kind got: `rows` drawn, `distinct` ones among them; shares of all rows, tokens and learnt tokens."""

    rows: int
    distinct: int
    row_share: float
    tokens: int
    token_share: float
    targets: int
    target_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """The drawn rows, kinds mixed, and what each kind got of them."""

    rows: tuple[TokenRow, ...]
    reached: Mapping[str, Reached]


def drawn(kinds: Mapping[str, Kind], count: int, seed: int) -> Mixture:
    """`count` rows. The shares must add up to 1.

    Raises:
        ConfigError: a kind is wanted and has no rows, or would get none of so few.
    """
    assert abs(sum(kind.share for kind in kinds.values()) - 1) < 1e-6
    counts = _counts(kinds, count)
    rng = Random(seed)
    taken = {name: _taken(kind.rows, counts[name], rng) for name, kind in kinds.items()}
    mixed = [row for rows in taken.values() for row in rows]
    rng.shuffle(mixed)
    return Mixture(rows=tuple(mixed), reached=_reached(taken, kinds, mixed))


def _counts(kinds: Mapping[str, Kind], count: int) -> dict[str, int]:
    """Whole numbers of rows that add up to `count`: what rounding down leaves goes to the largest remainders."""
    whole = {name: int(kind.share * count + 1e-9) for name, kind in kinds.items()}
    by_rest = sorted(kinds, key=lambda name: whole[name] - kinds[name].share * count)
    for name in by_rest[: count - sum(whole.values())]:
        whole[name] += 1
    for name, kind in kinds.items():
        if kind.share and not kind.rows:
            raise ConfigError(f"a share of {kind.share:g} is to be {name} rows, and there are none")
        if kind.share and not whole[name]:
            raise ConfigError(f"a share of {kind.share:g} of {count} rows is less than one row of {name}: more --steps")
    return whole


def _taken(rows: Sequence[TokenRow], count: int, rng: Random) -> list[TokenRow]:
    taken: list[TokenRow] = []
    while len(taken) < count:
        taken += rng.sample(rows, min(len(rows), count - len(taken)))
    return taken


def _reached(
    taken: Mapping[str, Sequence[TokenRow]], kinds: Mapping[str, Kind], mixed: Sequence[TokenRow]
) -> dict[str, Reached]:
    tokens, targets = sum(len(row.ids) for row in mixed), sum(row.targets for row in mixed)
    return {
        name: Reached(
            rows=len(rows),
            distinct=min(len(rows), len(kinds[name].rows)),
            row_share=len(rows) / len(mixed),
            tokens=(own := sum(len(row.ids) for row in rows)),
            token_share=own / tokens,
            targets=(learnt := sum(row.targets for row in rows)),
            target_share=learnt / targets,
        )
        for name, rows in taken.items()
    }
