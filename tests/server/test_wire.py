"""Pieces as chunks and as one answer, where a scripted model does not go: forms, tags, log-probabilities, raw bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guard.core.events import Finish, Piece, ToolDelta
from guard.core.types import GuardEvent
from guard.server import wire

EVENT = GuardEvent(event="retraction", id="s.0.1", channel="content", span=(4, 4))


def identity() -> wire.Identity:
    return wire.Identity("chatcmpl-1", 7, "m")


def raw(**delta: Any) -> bytes:
    chunk = {"id": "up", "created": 9, "model": "theirs", "choices": [{"index": 0, "delta": delta}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def chunk(encoder: wire.StreamEncoder, piece: Piece) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encoder.piece(0, piece).removeprefix(b"data: "))
    return found


@pytest.mark.parametrize(
    ("piece", "delta"),
    [
        (Piece("content", "a"), {"content": "a"}),
        (Piece("reasoning", "a"), {"reasoning_content": "a"}),
        (Piece("reasoning", "a", form="reasoning"), {"reasoning": "a"}),
        (Piece("reasoning", "a", form="reasoning+reasoning_content"), {"reasoning": "a", "reasoning_content": "a"}),
        (Piece("reasoning", "a", form="inline"), {"content": "a"}),
        (Piece("content", "<think>", tag=True, form="typed"), {"content": "<think>"}),
        (Piece("content", "a", form="typed"), {"content": [{"type": "text", "text": "a"}]}),
        (
            Piece("reasoning", "a", form="typed"),
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]},
        ),
    ],
)
def test_text_is_written_in_the_form_it_was_read_in(piece: Piece, delta: dict[str, Any]) -> None:
    assert wire.delta_fields(piece) == delta


def test_what_nobody_changed_goes_out_as_the_bytes_it_came_in() -> None:
    encoder = wire.StreamEncoder(identity())
    first = raw(role="assistant", content="Hi", odd=[1])
    assert encoder.piece(0, Piece("content", "Hi", first)) == first
    second = chunk(encoder, Piece("content", "there"))
    assert (second["id"], second["created"], second["model"]) == ("up", 9, "theirs")
    assert second["choices"][0]["delta"] == {"content": "there"}
    assert encoder.finish(0, Finish("stop", raw=first)) == first


def test_a_guard_event_rides_on_an_ordinary_chunk() -> None:
    encoder = wire.StreamEncoder(identity())
    told = chunk(encoder, Piece("content", "New.", raw(content="Old."), guard=EVENT))
    assert told["choices"][0]["delta"] == {"role": "assistant", "content": "New."}
    assert told["guard"] == {
        "v": 1,
        "event": "retraction",
        "id": "s.0.1",
        "channel": "content",
        "span": [4, 4],
        "discarded": None,
        "check": "",
        "reason": "",
        "correction": "",
    }
    more = GuardEvent(event="limit", id="x", channel="content", span=(0, 1), discarded=(1, 2), why="w", retracted="r")
    field = wire.guard_field(more)
    assert (field["discarded"], field["why"], field["retracted"]) == ([1, 2], "w", "r")


def test_a_choice_that_says_nothing_still_has_a_role() -> None:
    encoder = wire.StreamEncoder(identity())
    last = json.loads(encoder.finish(1, Finish("stop")).removeprefix(b"data: "))
    assert last["choices"][0] == {
        "index": 1,
        "delta": {"role": "assistant"},
        "logprobs": None,
        "finish_reason": "stop",
    }


@pytest.mark.parametrize("junk", [b"", b"data: [DONE]\n\n", b"data: [1]\n\n", b": comment\n\n", b"data: {\n\n"])
def test_what_is_no_json_object_teaches_nothing(junk: bytes) -> None:
    assert wire.payload(junk) == {}
    known = identity()
    known.learn(None)
    known.learn(junk)
    assert known.fields["id"] == "chatcmpl-1"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_ending_is_read(end: bytes) -> None:
    assert wire.payload(b'data: {"a":' + end + b"data:1}" + end + end) == {"a": 1}


def test_the_collected_answer_joins_everything() -> None:
    collector = wire.Collector(identity(), 1)
    tokens = [{"token": "Hi"}, {"token": "!"}]
    collector.piece(0, Piece("content", "", raw(role="assistant", refusal="No", annotations=[1], odd=1)))
    collector.piece(0, Piece("content", "", raw(refusal=" way", annotations=[2], odd=2, null=None)))
    collector.piece(0, Piece("content", "Hi", logprobs={"content": tokens[:1], "refusal": None}))
    collector.piece(0, Piece("content", "put in", logprobs=None))
    collector.piece(0, Piece("content", "!", logprobs={"content": tokens[1:]}))
    for part in (ToolDelta(0, 0, "c", "f", "{"), ToolDelta(0, 0, arguments="}")):
        collector.piece(0, Piece("tool_calls", "", call=part))
    collector.finish(0, Finish("stop"))
    answer = collector.answer({"total_tokens": 1})
    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Hiput in!",
        "refusal": "No way",
        "annotations": [1, 2],
        "odd": 2,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    assert answer["choices"][0]["logprobs"] == {"content": tokens}
    assert (answer["id"], answer["usage"]) == ("up", {"total_tokens": 1})
    assert "guard" not in answer


def test_typed_parts_are_joined_in_one_list() -> None:
    collector = wire.Collector(identity(), 1)
    collector.piece(0, Piece("reasoning", "Hm.", form="typed"))
    collector.piece(0, Piece("content", "<tag>", tag=True))
    collector.piece(0, Piece("content", "Yes.", form="typed"))
    content = collector.answer({})["choices"][0]["message"]["content"]
    assert content == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "<tag>"},
        {"type": "text", "text": "Yes."},
    ]


def test_an_error_is_openais() -> None:
    frame = wire.StreamEncoder(identity()).finish(0, Finish("error", error="gone", status=503))
    error = json.loads(frame.removeprefix(b"data: "))["error"]
    assert error == {"message": "gone", "type": "upstream_error", "param": None, "code": "503"}
