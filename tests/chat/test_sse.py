import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from guard.chat.sse import EventReader

CASES: dict[str, tuple[bytes, list[bytes]]] = {
    "line feeds": (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    "crlf": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    "bare returns": (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    "mixed ends": (b"data: a\n\r\ndata: b\r\n\ndata: c\r\r\ndata: d\n\rdata: e\n\n", [b"a", b"b", b"c", b"d", b"e"]),
    "no space": (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
    "several lines": (b"data: a\ndata: b\n\ndata: c\r\ndata\r\n\r\n", [b"a\nb", b"c\n"]),
    "comments": (b": ping\n\ndata: a\n\n:\n: ping\n\n", [b"a"]),
    "comment inside": (b": ping\ndata: a\n\n", [b"a"]),
    "other fields": (b"event: message\nid: 1\nretry: 9\ndata: a\n\nevent: x\n\n", [b"a"]),
    "mark": (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    "mark only at the start": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [b"a"]),
    "more blank lines": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [b"a", b"b"]),
    "not ended": (b"data: a\n\ndata: b", [b"a", b"b"]),
    "half ended": (b"data: a\n\ndata: b\n", [b"a", b"b"]),
    "half ended, crlf": (b"data: a\r\n\r\ndata: b\r\n\r", [b"a", b"b"]),
    "only a comment left": (b"data: a\n\n: b", [b"a"]),
    "unicode line ends are text": ("data: a\u2028b\x85\x0b\n\n".encode(), ["a\u2028b\x85\x0b".encode()]),
    "empty data": (b"data:\n\ndata: \n\n", [b"", b""]),
    "done": (b"data: {}\n\ndata: [DONE]\n\n", [b"{}", b"[DONE]"]),
    "nothing": (b"", []),
}


def read(chunks: list[bytes], limit: int = 1 << 20) -> list[tuple[bytes, bytes]]:
    reader = EventReader(limit)
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()


def cuts(stream: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in at), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges) if a < b]


def test_each_case_whole_and_byte_by_byte() -> None:
    for name, (stream, wanted) in CASES.items():
        whole = read([stream])
        assert [data for data, _ in whole] == wanted, name
        assert read([bytes([byte]) for byte in stream]) == whole, name


@given(st.sampled_from(sorted(CASES)), st.lists(st.integers(0, 200)))
def test_each_case_in_random_cuts(name: str, at: list[int]) -> None:
    stream, _ = CASES[name]
    assert read(cuts(stream, at)) == read([stream])


@given(
    st.lists(st.sampled_from([b"data: a", b"data:b", b": c", b"event: d", b"\n", b"\r", b"\r\n", b"\n\n", b"x"])),
    st.lists(st.integers(0, 200)),
)
def test_any_stream_in_random_cuts(parts: list[bytes], at: list[int]) -> None:
    stream = b"".join(parts)
    assert read(cuts(stream, at)) == read([stream])


@given(st.lists(st.sampled_from([b"{}", b'{"a":1}', b"x"])), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_the_bytes_of_all_events_are_the_stream(datas: list[bytes], newline: bytes) -> None:
    stream = b"".join(b"data: " + data + newline * 2 for data in datas)
    assert b"".join(raw for _, raw in read([stream])) == stream
    assert [data for data, _ in read([stream])] == datas


def test_a_last_event_is_completed_so_that_it_can_be_sent_on() -> None:
    assert read([b"data: a"])[-1] == (b"a", b"data: a\n\n")
    assert read([b"data: a\n"])[-1] == (b"a", b"data: a\n\n")
    assert read([b"data: a\r\n"])[-1] == (b"a", b"data: a\r\n\n")


def test_raw_ends_at_the_blank_line_whatever_follows() -> None:
    for _, raw in read([CASES["mixed ends"][0]]):
        assert re.search(rb"(\n|\r)(\n|\r\n|\r)\Z", raw)


def test_one_event_per_read_is_passed_through_as_it_is() -> None:
    event = b'data: {"a": 1}\n\n'
    assert EventReader().feed(event) == [(b'{"a": 1}', event)]


def test_an_event_beyond_the_limit_ends_the_stream_the_same_way_in_any_cut() -> None:
    stream = b"data: a\n\n" + b"data: " + b"x" * 30 + b"\n\n" + b"data: b\n\n"
    for chunks in ([stream], [bytes([b]) for b in stream], cuts(stream, [5, 20, 40])):
        reader = EventReader(limit=24)
        events = [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()
        assert [data for data, _ in events] == [b"a"]
        assert reader.overflow


def test_an_event_of_just_the_limit_passes() -> None:
    stream = b"data: " + b"x" * 16 + b"\n\n"
    for chunks in ([stream], [bytes([b]) for b in stream]):
        reader = EventReader(limit=len(stream))
        assert [event for chunk in chunks for event in reader.feed(chunk)] == [(b"x" * 16, stream)]
        assert not reader.overflow


def test_many_small_events_are_no_large_one() -> None:
    stream = b"data: a\n\n" * 50
    assert len(read([stream], limit=16)) == 50
