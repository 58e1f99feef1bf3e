"""Whatever is done to a store and its archive, in whatever order: after an update the two are the same."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from guard.archive import Archive
from guard.archive.manifest import TABLES
from guard.errors import ConfigError
from guard.store import Database
from tests.archive import making
from tests.archive.making import DAY, assert_same, closed, interruption, judgement, session

USERS = st.sampled_from(["ada", "bob", "eve"])
TIMES = st.one_of(st.floats(DAY, DAY * 3), st.sampled_from([DAY, DAY * 2, DAY * 2.5]))


class Log(RuleBasedStateMachine):
    """A store, its archive, and who was forgotten."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        making.make_small(self.patch.setattr)
        self.url = f"memory://{uuid4().hex}"
        self.database = Database("sqlite://")
        self.database.open()
        self.number = 0

    def teardown(self) -> None:
        self.database.close()
        self.patch.undo()

    def key(self) -> str:
        self.number += 1
        return f"k{self.number:04}"

    @rule(target=ids, at=TIMES, user=USERS)
    def add(self, at: float, user: str) -> str:
        key = self.key()
        self.database.add_interruption(interruption(key, at=at, user=user, session=f"s{self.number % 5}"))
        return key

    @rule(at=TIMES, users=st.lists(USERS, min_size=1, max_size=9))
    def add_many(self, at: float, users: list[str]) -> None:
        for user in users:
            making.add(self.database, self.key(), at=at + self.number, user=user)

    @rule(started=TIMES, user=USERS)
    def add_session(self, started: float, user: str) -> None:
        self.database.add_session(session(self.key(), started=started, user=user))

    @rule(key=ids)
    def close(self, key: str) -> None:
        self.database.close_interruptions([closed(key)])

    @rule(key=ids, ruling=st.sampled_from(["confirmed", "rejected", "unsure"]), reviewer=USERS)
    def review(self, key: str, ruling: str, reviewer: str) -> None:
        self.database.judge(judgement(self.key(), key, ruling, reviewer))

    @rule(user=USERS)
    def forget_user(self, user: str) -> None:
        self.database.forget(user=user)
        try:
            Archive(self.url).forget(user=user)
        except ConfigError:
            return  # nothing has been archived yet
        assert all(row[2] != user for table in TABLES for row in making.rows(Archive(self.url), table))

    @rule(number=st.integers(0, 4))
    def forget_session(self, number: int) -> None:
        self.database.forget(session=f"s{number}")
        try:
            Archive(self.url).forget(session=f"s{number}")
        except ConfigError:
            return

    @rule()
    def update(self) -> None:
        Archive(self.url).update(self.database)
        assert_same(Archive(self.url), self.database)
        assert list(Archive(self.url).iter_interruptions()) == self.records()

    @invariant()
    def nothing_is_wrong(self) -> None:
        try:
            found = Archive(self.url).verify(self.database)
        except ConfigError:
            return
        assert found.is_whole
        assert found.only_here == 0

    def records(self) -> list[object]:
        found = (self.database.interruption(key) for _, key, _, _ in making.stored(self.database, "interruption"))
        return [record for record in found if record is not None]


Log.TestCase.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
TestLog = Log.TestCase
