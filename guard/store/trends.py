"""How it went over time: hourly counts of all responses, and what the interruptions on record add up to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from guard.errors import ConfigError
from guard.store import owner
from guard.store.connected import Connected
from guard.store.schema import COMBINATION, INTERRUPTION, TALLY, plain

HOUR = 3600
_COUNTED = ("responses", "interrupted", "segments", "unscanned", "added_s")


@dataclass(slots=True, kw_only=True)
class Bucket:
    """A stretch of time that begins at `start`, in unix seconds.

    Attributes:
        responses, unscanned, added_s_sum: of every response, on record or not; `unscanned` counts segments,
            `added_s_sum` the seconds that guard added. Counted by the hour: an hour is in the bucket it begins in.
        interruptions: those on record; `late`, `outcomes`, `by_check`, `confirmed`, `rejected`, `tokens_wasted` and
            `delay_s_sum` (seconds from a claim's end to the cut) are of them.
    """

    start: float
    responses: int = 0
    interruptions: int = 0
    late: int = 0
    outcomes: Counter[str] = field(default_factory=lambda: Counter(corrected=0, relapsed=0, abandoned=0))
    by_check: Counter[str] = field(default_factory=Counter)
    confirmed: int = 0
    rejected: int = 0
    tokens_wasted: int = 0
    delay_s_sum: float = 0.0
    added_s_sum: float = 0.0
    unscanned: int = 0


class Trending(Connected):
    """The part of `Database` that counts over time."""

    def tally(
        self,
        model: str,
        policy: str,
        *,
        at: float,
        responses: int = 1,
        interrupted: int = 0,
        segments: int = 0,
        unscanned: int = 0,
        added_s: float = 0.0,
    ) -> None:
        """Add to the counts of an hour.

        Args:
            at: unix seconds.
            interrupted: of the responses, those with an interruption.
            segments: those that stand in the responses; `unscanned` of them no check could look at in time.
            added_s: seconds that guard added to the responses.
        """
        hour = int(at // HOUR) * HOUR
        counted = {"responses": responses, "interrupted": interrupted, "segments": segments}
        counted_ = counted | {"unscanned": unscanned, "added_s": added_s}
        key = {"hour": hour, "model": plain(model), "policy": plain(policy), "owner": owner.name()}
        insert = self._insert(TALLY).values(**key, **counted_)
        added = {name: TALLY.c[name] + insert.excluded[name] for name in _COUNTED}
        with self._writing() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=list(key), set_=added))

    def trends(self, since: float, until: float, bucket_s: float) -> list[Bucket]:
        """The buckets of `bucket_s` seconds from `since` on, empty ones too, oldest first.

        Raises ConfigError: there would be none, or more than 10,000.
        """
        if not (bucket_s > 0 and since < until and (until - since) / bucket_s <= 10_000):
            raise ConfigError(f"trends of {since!r} to {until!r} by {bucket_s!r} s: ask for 1 to 10000 buckets")
        number = int(-((since - until) // bucket_s))
        buckets = [Bucket(start=since + index * bucket_s) for index in range(number)]
        with self._reading() as connection:
            for row in connection.execute(_interruptions(since, until, bucket_s)):
                _add(buckets[min(row.bucket, number - 1)], row)
            for row in connection.execute(_tallies(since, until)):
                bucket = buckets[int((row.hour - since) // bucket_s)]
                bucket.responses += row.responses
                bucket.unscanned += row.unscanned
                bucket.added_s_sum += row.added_s
        return buckets


def _interruptions(since: float, until: float, bucket_s: float) -> sa.Select[Any]:
    cut = INTERRUPTION.c
    bucket = sa.cast(sa.func.floor((cut.at - since) / bucket_s), sa.Integer).label("bucket")
    sums = [_sum(column) for column in (cut.tokens_wasted, cut.delay_s)]
    query = sa.select(bucket, cut.combination, sa.func.count().label("number"), *sums)
    found = query.where(cut.at >= since, cut.at < until).group_by(bucket, cut.combination).subquery()
    # There are thousands of combinations, and few that differ in what is told of them.
    kind = COMBINATION.c
    told = (found.c.bucket, kind.check, kind.late, kind.outcome, kind.review)
    totals = [_sum(found.c[name]) for name in ("number", "tokens_wasted", "delay_s")]
    return sa.select(*told, *totals).join_from(found, COMBINATION, kind.id == found.c.combination).group_by(*told)


def _tallies(since: float, until: float) -> sa.Select[Any]:
    row = TALLY.c
    sums = [_sum(row[name]) for name in ("responses", "unscanned", "added_s")]
    return sa.select(row.hour, *sums).where(row.hour >= since, row.hour < until).group_by(row.hour)


def _sum(column: sa.ColumnElement[Any]) -> sa.Label[Any]:
    # PostgreSQL's sum of whole numbers is a decimal.
    return sa.cast(sa.func.sum(column), column.type).label(column.name)


def _add(bucket: Bucket, row: Any) -> None:
    bucket.interruptions += row.number
    bucket.late += row.number * row.late
    if row.outcome in bucket.outcomes:
        bucket.outcomes[row.outcome] += row.number
    bucket.by_check[row.check] += row.number
    bucket.confirmed += row.number * (row.review == "confirmed")
    bucket.rejected += row.number * (row.review == "rejected")
    bucket.tokens_wasted += row.tokens_wasted
    bucket.delay_s_sum += row.delay_s
