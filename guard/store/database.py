"""The whole store, synchronously: core records in, core records out.

Knows how it is opened and closed; the rest is its parts'. Each is one subject: pages, single records, recording,
judgements, what to judge next, what judgements tell, trends, changes, and forgetting.
"""

from __future__ import annotations

from guard.store.changes import Changing
from guard.store.forgetting import Forgetting
from guard.store.judging import Judging
from guard.store.migrate import is_current, migrate
from guard.store.quality import Quality
from guard.store.queueing import Queueing
from guard.store.trends import Trending


class Database(Judging, Queueing, Quality, Trending, Changing, Forgetting):
    """The log at a SQLAlchemy URL, for one writing thread and any number of reading ones."""

    def open(self) -> None:
        """Create or upgrade the tables. Safe to call twice. Raises StoreError if a newer guard made them."""
        with self._reading() as connection:
            current = is_current(connection)
        if not current:
            with self._writing() as connection:
                migrate(connection, self.url)
        self._count_kept()

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()
