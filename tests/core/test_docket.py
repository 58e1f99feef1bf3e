from __future__ import annotations

from guard.core.docket import Docket, Entry
from guard.core.types import Segment


def entry(number: int, *, checked: bool = True, inline: str = "", pending: str = "") -> Entry:
    """A segment of ten characters; the letters name the checks it waits for."""
    start, end = number * 10, number * 10 + 10
    segment = Segment(id=number, channel="content", start=start, end=end, text="x" * 10, attempt=0)
    return Entry(segment=segment, start=start, end=end, checked=checked, inline=set(inline), pending=set(pending))


def docket(*entries: Entry) -> Docket:
    out = Docket()
    for one in entries:
        out.add(one)
    return out


def test_an_empty_docket_holds_nothing() -> None:
    assert (docket().frontier(), docket().waiting, list(docket())) == (None, [], [])


def test_a_judged_segment_holds_nothing() -> None:
    assert docket(entry(0)).frontier() is None


def test_a_checked_segment_holds_itself_until_it_is_judged() -> None:
    one = entry(1, pending="a")
    line = docket(entry(0), one)
    assert (line.frontier(), line.waiting) == (10, [one])
    one.pending.clear()
    line.touch()
    assert (line.frontier(), line.waiting) == (None, [])


def test_an_immediate_segment_does_not_wait_for_slow_checks_but_for_inline_ones() -> None:
    assert docket(entry(0, checked=False, pending="a")).frontier() is None
    assert docket(entry(0, checked=False, pending="a"), entry(1, checked=False, inline="b")).frontier() == 10


def test_a_settled_segment_waits_for_nothing_beside_the_stream() -> None:
    one = entry(0, pending="b")
    one.settled = True
    line = docket(one, entry(1, checked=False, inline="c"))
    assert (one.judged, line.frontier()) == (True, 10)


def test_a_settled_segment_holds_what_follows_until_its_inline_checks_are_in() -> None:
    one = entry(0, checked=False, inline="a")
    one.settled = True
    line = docket(one)
    assert (one.judged, line.frontier()) == (False, 0)
    one.inline.clear()
    line.touch()
    assert (one.judged, line.frontier()) == (True, None)


def test_a_settled_segment_that_waits_in_line_is_no_obstacle() -> None:
    one = entry(0, pending="a")
    line = docket(one)
    one.settled = True
    line.touch()
    assert (line.frontier(), line.waiting) == (None, [])


def test_a_dropped_segment_is_nowhere() -> None:
    first, second = entry(0), entry(1, pending="a")
    line = docket(first, second)
    line.drop(second)
    assert (line.get(1), line.get(0), list(line), line.waiting) == (None, first, [first], [])


def test_a_segment_that_has_left_the_line_can_still_be_dropped() -> None:
    line = docket(entry(0, checked=False))
    assert line.frontier() is None
    held = line.get(0)
    assert held
    line.drop(held)
    assert list(line) == []


def test_after_gives_the_segments_behind_one() -> None:
    second, third = entry(1), entry(2)
    assert docket(entry(0), second, third).after(0) == [second, third]


def test_the_entries_before_a_segment_come_nearest_first() -> None:
    one, two, three = entry(0), entry(1), entry(3)
    line = docket(one, two, three)
    assert line.before(3, 1) == [two]
    assert line.before(2, 9) == [two, one]
    assert (line.before(0, 9), line.before(3, 0)) == ([], [])
