import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.backends import Item, Usage
from guard.chat.reader import Reader
from guard.chat.tags import Start, TagSplitter
from guard.core.events import Delta, Extra, Finished, Opened, ToolDelta
from guard.core.types import Token
from guard.errors import UpstreamDisconnected, UpstreamError

STOP: dict[str, Any] = {"finish_reason": "stop"}


def chunk(delta: dict[str, Any] | None = None, *, index: int = 0, **choice: Any) -> bytes:
    body = {"id": "c1", "choices": [{"index": index, "delta": delta or {}, "finish_reason": None} | choice]}
    return event(body)


def event(body: Any) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def reader(n: int = 1, *, number: int = 0, choice: int = 0, start: Start | None = "undecided") -> Reader:
    return Reader(
        number,
        {i: i for i in range(n)} if number == 0 else {0: choice},
        where="up:1",
        splitter=lambda: TagSplitter(("<think>", "</think>"), start) if start else None,
        forms={},
        continuation=None if number == 0 else "reask",
    )


def run(chunks: list[bytes], by: Reader | None = None) -> tuple[list[Item], UpstreamError | None]:
    by = by or reader()
    items = [item for data in chunks for item in by.feed(data)]
    if by.error is None:
        items += by.finish()
    return items, by.error


def events(*stream: bytes, by: Reader | None = None) -> list[Any]:
    """What a good stream amounts to, without `Opened` and the choices' indexes."""
    items, error = run([b"".join(stream)], by)
    assert error is None, error
    return [
        item if isinstance(item, Usage) else item[1] for item in items if isinstance(item, Usage) or not opens(item)
    ]


def opens(item: Item) -> bool:
    return not isinstance(item, Usage) and isinstance(item[1], Opened)


END = chunk(**STOP) + b"data: [DONE]\n\n"
FINISHED = Finished(0, "stop", chunk(**STOP))


def test_a_plain_stream_keeps_every_byte() -> None:
    role, one = chunk({"role": "assistant", "content": ""}), chunk({"content": "Hi"})
    assert events(role, one, END) == [Extra(0, role), Delta(0, "content", "Hi", one, "content"), FINISHED]


@pytest.mark.parametrize(
    ("delta", "form"),
    [
        ({"reasoning_content": "why"}, "reasoning_content"),
        ({"reasoning": "why", "content": None}, "reasoning"),
        ({"reasoning": "why", "reasoning_details": [{"text": "why"}], "content": ""}, "reasoning"),
        ({"reasoning_content": "why", "reasoning": "why"}, "reasoning_content+reasoning"),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "why"}]}]}, "typed"),
        ({"content": [{"type": "thinking", "thinking": "wh"}, {"type": "thinking", "thinking": ["y"]}]}, "typed"),
    ],
)
def test_reasoning_is_read_in_every_field(delta: dict[str, Any], form: str) -> None:
    data = chunk(delta)
    assert events(data, END)[0] == Delta(0, "reasoning", "why", data, form)


def test_typed_text_is_content() -> None:
    data = chunk({"content": [{"type": "text", "text": "Hi"}, {"type": "reference", "reference_ids": [1]}]})
    assert events(data, END)[0] == Delta(0, "content", "Hi", data, "typed")


def test_what_is_split_loses_its_bytes() -> None:
    both = chunk({"reasoning": "why", "content": "so"})
    last = chunk({"content": "!"}, **STOP)
    assert events(both, last) == [
        Delta(0, "reasoning", "why", None, "reasoning"),
        Delta(0, "content", "so", None, "content"),
        Delta(0, "content", "!", None, "content"),
        Finished(0, "stop"),
    ]
    typed = chunk({"content": [{"type": "thinking", "thinking": "why"}, {"type": "text", "text": "so"}]})
    assert [e.raw for e in events(typed, END)[:2]] == [None, None]
    differing = chunk({"reasoning_content": "a", "reasoning": "b"})
    assert [(e.text, e.raw) for e in events(differing, END)[:2]] == [("a", None), ("b", None)]


def test_several_choices_in_turn_and_in_one_chunk() -> None:
    a, b = chunk({"content": "a"}), chunk({"content": "b"}, index=1)
    together = event({"choices": [{"index": i, "delta": {"content": "x"}} for i in range(2)]})
    ends = chunk(**STOP) + chunk(index=1, finish_reason="length")
    items, error = run([a + b + together + ends], reader(2))
    assert error is None
    assert items[:6] == [
        (0, Opened(0)),
        (1, Opened(0)),
        (0, Delta(0, "content", "a", a, "content")),
        (1, Delta(0, "content", "b", b, "content")),
        (0, Delta(0, "content", "x", None, "content")),
        (1, Delta(0, "content", "x", None, "content")),
    ]
    assert items[7] == (1, Finished(0, "length", chunk(index=1, finish_reason="length")))


def test_tool_calls_are_passed_on_in_fragments() -> None:
    first = chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]})
    more = chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})
    two = chunk({"tool_calls": [{"index": i, "id": f"d{i}", "function": {"name": "g"}} for i in (1, 2)]})
    end = chunk(finish_reason="tool_calls")
    assert events(first, more, two, end) == [
        ToolDelta(0, 0, "c", "f", "", first),
        ToolDelta(0, 0, "", "", "{}", more),
        ToolDelta(0, 1, "d1", "g", "", None),
        ToolDelta(0, 2, "d2", "g", "", None),
        Finished(0, "tool_calls", end),
    ]


def test_tool_calls_without_an_index_begin_with_a_new_id() -> None:
    calls = [
        {"id": "a", "function": {"name": "f", "arguments": {"x": 1}}},
        {"function": {"arguments": "y"}},
        {"id": "b"},
    ]
    found = events(*(chunk({"tool_calls": [call]}) for call in calls), END)
    assert [(e.index, e.id, e.arguments) for e in found[:3]] == [(0, "a", '{"x":1}'), (0, "", "y"), (1, "b", "")]


def test_usage_in_a_chunk_of_its_own_and_on_the_finish() -> None:
    own = event({"choices": [], "usage": {"total_tokens": 3}})
    assert events(chunk(**STOP), own, b"data: [DONE]\n\n") == [FINISHED, Usage(0, {"total_tokens": 3})]
    last = event({"choices": [{"index": 0, "delta": {}} | STOP], "usage": {"total_tokens": 3}})
    assert events(last, own) == [Usage(0, {"total_tokens": 3}), Finished(0, "stop")]


def test_usage_on_every_chunk_is_told_once_and_never_sent_on() -> None:
    running = [event({"choices": [{"delta": {"content": "a"}}], "usage": {"total_tokens": i}}) for i in (1, 2)]
    found = events(*running, END)
    assert [getattr(e, "raw", "") for e in found] == [None, None, chunk(**STOP), ""]
    assert found[-1] == Usage(0, {"total_tokens": 2})


def test_what_carries_nothing_is_passed_on_as_it_is() -> None:
    strange = [event({"choices": [], "prompt_filter_results": []}), event({"x": 1}), chunk({"refusal": "no"}), chunk()]
    assert events(*strange, END) == [*(Extra(0, raw) for raw in strange), FINISHED]


def test_log_probabilities_travel_with_their_delta() -> None:
    logprobs = {"content": [{"token": "Hi", "logprob": -0.5}]}
    data = chunk({"content": "Hi"}, logprobs=logprobs)
    token = Token(id=-1, text="Hi", logprob=-0.5)
    assert events(data, END)[0] == Delta(0, "content", "Hi", data, "content", (token,), logprobs)


def test_inline_reasoning() -> None:
    parts = [chunk({"content": text}) for text in ("<think>", "why", " not</th", "ink>", "so")]
    assert events(*parts, END) == [
        Extra(0, parts[0], "<think>", "open"),
        Delta(0, "reasoning", "why", parts[1], "inline"),
        Delta(0, "reasoning", " not", None, "inline"),
        Extra(0, None, "</think>", "close"),
        Delta(0, "content", "so", parts[4], "content"),
        FINISHED,
    ]
    assert events(*parts, END, by=reader(start=None))[0] == Delta(0, "content", "<think>", parts[0], "content")
    assert events(parts[1], END, by=reader(start="open"))[0] == Delta(0, "reasoning", "why", parts[1], "inline")


def test_tags_are_only_text_once_reasoning_came_in_a_field() -> None:
    field, tag = chunk({"reasoning_content": "why"}), chunk({"content": "<think>"})
    assert events(field, tag, END)[1] == Delta(0, "content", "<think>", tag, "content")
    assert events(field, tag, END, by=reader(start="open"))[1].channel == "content"


def test_what_was_held_for_a_tag_comes_before_the_finish() -> None:
    held = chunk({"content": "<th"})
    assert events(held, END) == [Delta(0, "content", "<th", held, "content"), FINISHED]
    call = chunk({"tool_calls": [{"index": 0, "id": "c"}]})
    assert [type(e) for e in events(held, call, END)] == [Delta, ToolDelta, Finished]


def test_an_attempt_that_continues_speaks_of_its_own_choice_and_keeps_no_bytes() -> None:
    stream = chunk({"role": "assistant"}) + chunk({"content": "a"}) + chunk({"content": "x"}, index=1) + END
    items, error = run([stream], reader(number=2, choice=1))
    assert error is None
    assert items == [
        (1, Opened(2, "reask")),
        (1, Delta(2, "content", "a", None, "content")),
        (1, Finished(2, "stop")),
    ]


def test_nothing_follows_the_finish_of_a_choice() -> None:
    assert events(chunk(**STOP), chunk({"content": "late"}), chunk(), chunk(**STOP)) == [FINISHED]
    assert events(END, chunk({"content": "after done"})) == [FINISHED]


def failing(*stream: bytes, by: Reader | None = None) -> tuple[list[Item], UpstreamError]:
    items, error = run([b"".join(stream)], by)
    assert error is not None
    return items, error


def test_an_error_in_the_stream() -> None:
    good, bad = chunk({"content": "a"}), event({"error": {"message": "overloaded", "code": 503}})
    items, error = failing(good, bad, good)
    assert len(items) == 2
    assert (error.status, error.body) == (503, bad[6:-2])
    assert "overloaded" in str(error)
    items, error = failing(event({"error": "boom"}))
    assert (items, error.status) == ([], 502)


def test_an_event_that_is_not_json_is_named() -> None:
    items, error = failing(chunk({"content": "a"}), b"data: {" + b"x" * 999 + b"\n\n")
    assert len(items) == 2
    assert "{xxx" in str(error)
    assert len(str(error)) < 400
    assert "$.choices" in str(failing(event({"choices": [{"delta": {"content": 3}}]}))[1])


def test_a_stream_without_a_finish() -> None:
    held = chunk({"content": "<th"})
    items, error = failing(held)
    assert isinstance(error, UpstreamDisconnected)
    assert items[1:] == [(0, Delta(0, "content", "<th", held, "content"))]
    assert isinstance(failing(chunk({"content": "a"}), b"data: [DONE]\n\n")[1], UpstreamDisconnected)
    assert isinstance(failing(chunk({"content": "a"}), b'data: {"choi')[1], UpstreamDisconnected)
    assert "[1]" in str(failing(END, by=reader(2))[1])


def test_too_large_an_event() -> None:
    items, error = failing(chunk({"content": "a"}), b"data: " + b"x" * (1 << 20))
    assert len(items) == 2
    assert "1048576" in str(error)


def test_a_whole_answer_reads_like_a_stream() -> None:
    message = {
        "role": "assistant",
        "reasoning_content": "why",
        "content": "so",
        "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}, {"id": "b"}],
    }
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {"total_tokens": 9}}
    by = reader()
    items = by.whole(json.dumps(body).encode()) + by.finish()
    assert by.error is None
    assert [type(item if isinstance(item, Usage) else item[1]).__name__ for item in items] == [
        *("Opened", "Usage", "Delta", "Delta", "ToolDelta", "ToolDelta", "Finished"),
    ]
    assert [item[1].index for item in items[4:6] if not isinstance(item, Usage)] == [0, 1]  # type: ignore[union-attr]


STREAM = b"".join(
    [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": text}) for text in ("<thi", "nk>", "wh\u00e9", "y</thi", "nk>", "so")),
        chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}),
        END,
    ]
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=30), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_the_items_do_not_depend_on_the_reads(at: list[int], newline: bytes) -> None:
    stream = STREAM.replace(b"\n", newline)
    edges = [0, *sorted(at), len(stream)]
    parts = [stream[a:b] for a, b in pairwise(edges) if a < b]
    assert run(parts) == run([stream])
    assert run([bytes([byte]) for byte in stream]) == run([stream])


def test_bytes_of_deltas_concatenate_to_the_upstreams() -> None:
    parts = [chunk({"content": text}) for text in "abcdef"] + [chunk(**STOP)]
    assert b"".join(e.raw for e in events(*parts)) == b"".join(parts)
