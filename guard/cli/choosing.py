"""Which sessions conditions mean, where some of them are about interruptions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from guard.core.records import SessionRecord
from guard.store import Database, Filter

INTERRUPTIONS_ONLY = ("check", "channel", "correct", "late", "outcome", "review", "score", "text")
"""Fields that only an interruption has."""

_FIELDS = (*(name for name in INTERRUPTIONS_ONLY if name != "score"), "score_min", "score_max")


def of_interruptions(wanted: Filter) -> list[str]:
    """The fields that are asked for and that a session does not have."""
    named = (name for name in _FIELDS if getattr(wanted, name) is not None)
    return list(dict.fromkeys(name.partition("_")[0] for name in named))


def sessions(log: Database, wanted: Filter) -> Iterator[SessionRecord]:
    """The sessions that match, oldest first. Conditions that only an interruption can meet must all be met by one
    interruption of the session; times are the session's."""
    if not of_interruptions(wanted):
        return log.iter_sessions(wanted)
    since = -math.inf if wanted.since is None else wanted.since
    until = math.inf if wanted.until is None else wanted.until
    cuts = log.iter_interruptions(replace(wanted, since=None, until=None, limit=None))
    named = {(cut.provenance.started, cut.provenance.session) for cut in cuts}
    found = (log.session(name) for started, name in sorted(named) if since <= started < until)
    return islice((record for record in found if record is not None), wanted.limit)
