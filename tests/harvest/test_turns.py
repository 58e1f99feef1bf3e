"""Turns are put together, whatever else the log has between their interruptions."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

from hypothesis import given, settings
from hypothesis import strategies as st

from guard.core.records import InterruptionRecord
from guard.exporters.clean import plugin
from guard.harvest.counts import Counts
from guard.harvest.maker import Job, Maker
from guard.harvest.turns import turns
from tests.exporters.records import record
from tests.harvest.logs import turn


def key(of: InterruptionRecord) -> tuple[str, int]:
    return of.provenance.session, of.interruption.choice


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "\ud800"]), st.integers(0, 1), st.booleans()), max_size=12))
def test_every_record_comes_once_with_those_of_its_turn(given_: list[tuple[str, int, bool]]) -> None:
    records = [
        record(id=f"{session}.{choice}.{n}", session=session, choice=choice, complete=complete, at=float(n))
        for n, (session, choice, complete) in enumerate(given_)
    ]
    found = list(turns(records))
    assert sorted(each.interruption.id for one in found for each in one) == sorted(r.interruption.id for r in records)
    for one in found:
        assert len(set(map(key, one))) == 1
        assert [each.at for each in one] == sorted(each.at for each in one)
        assert all(each.closing and not each.closing.complete for each in one[:-1])
    ended = [one[-1].at for one in found if one[-1].closing and one[-1].closing.complete]
    assert ended == [each.at for each in records if each.closing and each.closing.complete]


def test_a_download_takes_them_in_whichever_thread_is_free() -> None:
    """A server's pool gives each piece of a download to another thread."""
    records = [record(id=f"s.0.{n}", session=f"s{n % 2}", choice=0, complete=n > 3, at=float(n)) for n in range(6)]
    coming, found = turns(records), []
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        threads = cycle((one, other))
        while each := next(threads).submit(next, coming, None).result():
            found.append([record_.interruption.id for record_ in each])
    assert found == [["s.0.0", "s.0.2", "s.0.4"], ["s.0.1", "s.0.3", "s.0.5"]]


def test_the_maker_gives_the_rows_that_the_format_gives() -> None:
    records = sorted((r for n in range(30) for r in turn(n, n % 3 > 0)), key=lambda r: r.at)
    whole, parts = Counter[str](), Counts()
    rows = list(plugin.rows(plugin.select(records), skipped=whole))
    maker = Maker(Job(format="clean"))
    taken = maker.selected(records, {}, parts)
    made = [row for one in turns(taken) for row in maker.rows(one, parts)]
    assert [row["id"] for row in rows] == [row.key for row in made] != []
    assert parts.left == whole
    assert parts.seen["record", "interruption"] == 60
