"""Pieces as Responses events and as one Response: the shapes are OpenAI's own types, the judge is its own client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from guard.core.events import Finish, Piece, ToolDelta
from guard.core.types import GuardEvent
from guard.server import wire
from guard.server.responses_request import parse_responses
from guard.server.responses_wire import ResponsesCollector, ResponsesEncoder, usage_fields

Event = dict[str, Any]

EVENT = GuardEvent(event="retraction", id="s.0.1", channel="content", span=(4, 4))
STREAM_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 4,
    "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2},
    "guard": {"interruptions": 1, "delivered": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}},
}


def identity() -> wire.Identity:
    return wire.Identity("chatcmpl-1", 7, "m")


def raw(**delta: Any) -> bytes:
    chunk = {"id": "up", "created": 9, "model": "theirs", "choices": [{"index": 0, "delta": delta}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def call(index: int, arguments: str = "", id_: str = "", name: str = "", **fields: Any) -> Piece:
    return Piece("tool_calls", "", call=ToolDelta(0, index, id_, name, arguments), **fields)


def encoded(pieces: Sequence[Piece], finish: Finish, usage: Any, echo: Any = None) -> list[bytes]:
    encoder = ResponsesEncoder(identity(), echo or {})
    return [*(encoder.piece(0, piece) for piece in pieces), encoder.finish(0, finish), encoder.end(usage)]


def read(stream: bytes) -> list[Event]:
    """The events of a stream, each one found valid."""
    assert stream.endswith(b"\n\n")
    events = []
    for frame in stream.decode().removesuffix("\n\n").split("\n\n"):
        named, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert named == f"event: {event['type']}"
        assert STREAM_EVENT.validate_json(json.dumps(event), strict=True).type == event["type"]
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def played(*pieces: Piece, finish: Finish | None = None, echo: Any = None) -> tuple[list[Event], dict[str, Any]]:
    """The stream's events, and the whole response, which is that of the stream's last event."""
    finish = finish or Finish("stop")
    events = read(b"".join(encoded(pieces, finish, USAGE, echo)))
    collector = ResponsesCollector(identity(), echo or {})
    for piece in pieces:
        collector.piece(0, piece)
    collector.finish(0, finish)
    whole = collector.answer(USAGE)
    Response.model_validate_json(json.dumps(whole), strict=True)
    assert events[-1]["response"] == whole
    return events, whole


def names(events: Sequence[Event]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_the_events_come_in_openais_order() -> None:
    events, whole = played(
        Piece("reasoning", "Hm."),
        Piece("content", "Yes"),
        Piece("content", "."),
        call(0, "{", "call_a", "f"),
        call(0, "}"),
        finish=Finish("tool_calls"),
    )
    assert names(events) == [
        "created",
        "in_progress",
        *("output_item.added", "content_part.added", "reasoning_text.delta"),
        *("reasoning_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done"),
        "completed",
    ]
    assert whole["output"] == [
        {
            "id": "rs_1_0",
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Hm."}],
            "status": "completed",
        },
        {
            "id": "msg_1_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Yes.", "annotations": [], "logprobs": []}],
        },
        {
            "id": "fc_1_2",
            "type": "function_call",
            "call_id": "call_a",
            "name": "f",
            "arguments": "{}",
            "status": "completed",
        },
    ]
    assert (whole["id"], whole["created_at"], whole["model"], whole["store"]) == ("resp_1", 7, "m", False)


def test_the_first_event_comes_with_the_first_piece_and_keeps_its_id() -> None:
    known = identity()
    encoder = ResponsesEncoder(known, {})
    first = read(encoder.piece(0, Piece("content", "", raw(role="assistant"))))
    assert names(first) == ["created", "in_progress"]
    known.learn(raw(content="Hi"))
    events = encoder.piece(0, Piece("content", "Hi", raw(content="Hi"))) + encoder.finish(0, Finish("stop"))
    last = encoder.end({}).decode().split("data: ")[1]
    assert b"theirs" not in events
    assert (json.loads(last)["response"]["id"], json.loads(last)["response"]["model"]) == ("resp_1", "m")
    assert first[0]["response"]["id"] == "resp_1"


@pytest.mark.parametrize("given", ["resp_1", "chatcmpl-1", "1"])
def test_the_id_is_one_of_responses(given: str) -> None:
    collector = ResponsesCollector(wire.Identity(given, 7, "m"), {})
    assert collector.answer({})["id"] == "resp_1"


def test_the_usage_has_responses_own_names() -> None:
    assert usage_fields(USAGE) == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 7,
        "guard": USAGE["guard"],
    }
    bare = usage_fields({"prompt_tokens_details": None, "completion_tokens_details": {"reasoning_tokens": None}})
    assert bare["input_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}
    assert bare["output_tokens_details"] == {"reasoning_tokens": 0}
    assert "guard" not in bare


@pytest.mark.parametrize(
    ("finish", "status", "reason", "item"),
    [
        (Finish("stop"), "completed", None, "completed"),
        (Finish("eos"), "completed", None, "completed"),
        (Finish("length"), "incomplete", "max_output_tokens", "incomplete"),
        (Finish("content_filter"), "incomplete", "content_filter", "incomplete"),
        (Finish("error", error="gone", status=502), "failed", None, "incomplete"),
    ],
)
def test_the_end_says_how_it_ended(finish: Finish, status: str, reason: str | None, item: str) -> None:
    events, whole = played(Piece("content", "So"), finish=finish)
    assert names(events)[-1] == whole["status"] == status
    assert (whole["incomplete_details"] or {}).get("reason") == reason
    assert whole["output"][0]["status"] == item


@pytest.mark.parametrize(
    ("status", "code"), [(502, "server_error"), (429, "rate_limit_exceeded"), (400, "invalid_prompt")]
)
def test_a_failure_has_one_of_openais_codes(status: int, code: str) -> None:
    _, whole = played(Piece("content", "So"), finish=Finish("error", error="gone", status=status))
    assert whole["error"] == {"code": code, "message": "gone"}


def test_an_answer_without_words_is_an_empty_message() -> None:
    assert [item["type"] for item in played()[1]["output"]] == ["message"]
    assert [item["type"] for item in played(Piece("reasoning", "Hm."))[1]["output"]] == ["reasoning", "message"]
    assert [item["type"] for item in played(call(0, "{}", "c", "f"))[1]["output"]] == ["function_call"]
    cut = played(Piece("reasoning", "Hm."), finish=Finish("length"))[1]
    assert [(item["type"], item["status"]) for item in cut["output"]] == [("reasoning", "incomplete")]


def test_reasoning_is_an_item_of_its_own_in_every_form_and_tags_are_dropped() -> None:
    _, whole = played(
        Piece("content", "<think>", raw(content="<think>"), tag=True),
        Piece("reasoning", "Hm", raw(content="Hm"), form="inline"),
        Piece("reasoning", ".", form="typed"),
        Piece("content", "</think>", tag=True),
        Piece("content", "Yes.", form="typed"),
        Piece("reasoning", "So", form="reasoning"),
        call(0, "{}", "c", "f"),
        Piece("reasoning", "Then"),
    )
    assert [item["type"] for item in whole["output"]] == [
        *("reasoning", "message", "reasoning", "function_call", "reasoning"),
    ]
    assert [item["content"][0]["text"] for item in whole["output"] if "content" in item] == [
        "Hm.",
        "Yes.",
        "So",
        "Then",
    ]


def test_calls_end_one_after_the_other() -> None:
    events, whole = played(call(0, '{"a":1}', "c1", "f"), call(1, "", "c2", "g"), call(1, "{}"), call(0, "late"))
    assert names(events)[2:-1] == 2 * [
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"),
    ]
    found = [(item["call_id"], item["name"], item["arguments"]) for item in whole["output"]]
    assert found == [("c1", "f", '{"a":1}'), ("c2", "g", "{}")]


def test_calls_whose_fragments_come_mixed_are_told_apart() -> None:
    pieces = [call(0, '{"a"', "c1", "f"), call(1, '{"b"', "c2", "g"), call(0, ":1}"), call(1, ":2}")]
    events, whole = played(*pieces, Piece("content", "Done."))
    assert [item.get("arguments") for item in whole["output"]] == ['{"a":1}', '{"b":2}', None]
    for index, arguments in enumerate(('{"a":1}', '{"b":2}')):
        own = [event for event in events if event.get("output_index") == index]
        assert "".join(event["delta"] for event in own if event["type"].endswith(".delta")) == arguments


def test_a_call_has_an_id_even_where_the_upstream_gave_none() -> None:
    events, whole = played(call(0, "{", name="get_"), call(0, "}", "late", "it"))
    assert whole["output"][0]["call_id"] == events[2]["item"]["call_id"] == "call_1_0"
    assert whole["output"][0]["name"] == "get_it"


@pytest.mark.parametrize("arguments", ["", "1", "[]", "{}{}", '{"a":', "[" * 100_000])
def test_what_is_no_whole_object_leaves_its_call_open(arguments: str) -> None:
    events, whole = played(call(0, arguments, "c", "f"), Piece("content", "Hm."), call(0, "}"))
    assert names(events)[-6:-1] == [
        *("function_call_arguments.done", "output_item.done"),
        *("output_text.done", "content_part.done", "output_item.done"),
    ]
    assert whole["output"][0]["arguments"] == arguments + "}"


def test_a_refusal_is_told_as_one() -> None:
    events, whole = played(Piece("content", "", raw(refusal="I")), Piece("content", "", raw(refusal=" won't", odd=1)))
    assert names(events)[2:-1] == [
        *("output_item.added", "content_part.added", "refusal.delta", "refusal.delta"),
        *("refusal.done", "content_part.done", "output_item.done"),
    ]
    assert whole["output"][0]["content"] == [{"type": "refusal", "refusal": "I won't"}]


@pytest.mark.parametrize(
    "junk", [b"", b"data: [DONE]\n\n", raw(), raw(refusal=None), raw(refusal=1), b'data: {"choices":[{}]}\n\n']
)
def test_a_chunk_that_says_nothing_is_no_event(junk: bytes) -> None:
    assert names(played(Piece("content", "", junk), Piece("content", "A"))[0])[2:5] == [
        *("output_item.added", "content_part.added", "output_text.delta"),
    ]


def test_log_probabilities_are_of_the_text_they_came_with() -> None:
    top = {"token": "H", "logprob": -2.0, "bytes": [72]}
    entry = {"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": [top, {"token": 1}]}
    events, whole = played(
        Piece(
            "content", "Hi", raw(content="Hi"), logprobs={"content": [entry, "junk", {"token": "x"}], "refusal": None}
        ),
        Piece("content", " put in"),
        Piece("content", "!", logprobs={"content": [{"token": "!", "logprob": 0}]}),
    )
    told = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": [top]}
    last = {"token": "!", "bytes": [33], "logprob": 0, "top_logprobs": []}
    deltas = [event["logprobs"] for event in events if event["type"].endswith("text.delta")]
    assert deltas == [[told], [], [last]]
    assert whole["output"][0]["content"][0]["logprobs"] == [told, last]


@pytest.mark.parametrize("junk", [1, "x", [], {"content": "x"}, {"content": {"token": "x"}}, {"content": None}])
def test_log_probabilities_that_are_none_are_left_out(junk: Any) -> None:
    _, whole = played(Piece("content", "Hi", logprobs=junk))
    assert whole["output"][0]["content"][0]["logprobs"] == []


@pytest.mark.parametrize(
    ("pieces", "carrier", "delta"),
    [
        ([Piece("content", "No.", guard=EVENT)], "output_text", "No."),
        ([Piece("reasoning", "No.", raw(content="old"), guard=EVENT)], "reasoning_text", "No."),
        ([Piece("content", "", guard=EVENT)], "output_text", ""),
        ([Piece("reasoning", "", guard=EVENT)], "reasoning_text", ""),
        ([Piece("reasoning", "Hm."), Piece("content", "", guard=EVENT)], "reasoning_text", ""),
        ([Piece("tool_calls", "", guard=EVENT)], "output_text", ""),
        ([Piece("tool_calls", "No.", guard=EVENT)], "output_text", "No."),
        ([call(0, "{}", "c", "f"), Piece("tool_calls", "", guard=EVENT)], "function_call_arguments", ""),
        ([call(0, "{}", "c", "f", guard=EVENT)], "function_call_arguments", "{}"),
        ([call(0, "", "c", "f", guard=EVENT)], "function_call_arguments", ""),
    ],
)
def test_guards_word_rides_on_a_delta_and_is_in_the_whole(pieces: list[Piece], carrier: str, delta: str) -> None:
    events, whole = played(*pieces)
    told = [event for event in events if "guard" in event]
    assert [(event["type"], event["delta"]) for event in told] == [(f"response.{carrier}.delta", delta)]
    assert told[0]["guard"] == wire.guard_field(EVENT)
    assert whole["guard"] == {"v": 1, "events": [{**wire.guard_field(EVENT), "choice": 0}]}


def test_without_a_word_of_guard_there_is_no_field_for_it() -> None:
    assert "guard" not in played(Piece("content", "Hi"))[1]


def test_the_collector_knows_the_first_error_and_what_guard_told() -> None:
    collector = ResponsesCollector(identity(), {})
    collector.piece(0, Piece("content", "No.", guard=EVENT))
    failed = Finish("error", error="gone", status=503)
    collector.finish(0, failed)
    assert collector.error is failed
    assert [event["event"] for event in collector.events] == ["retraction"]


# Any answer, in any cut ----------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
PIECES = st.one_of(
    st.builds(Piece, st.sampled_from(["reasoning", "content"]), TEXT),
    st.builds(Piece, st.sampled_from(["reasoning", "content", "tool_calls"]), TEXT | st.just(""), guard=st.just(EVENT)),
    st.builds(call, st.integers(0, 2), st.sampled_from(["", "{", "}", '{"a":1}', " "]), st.just("c"), st.just("f")),
    st.just(Piece("content", "<think>", tag=True)),
    st.just(Piece("content", "", raw(role="assistant"))),
    st.just(Piece("content", "", raw(refusal="No."))),
)
FINISHES = st.sampled_from([Finish("stop"), Finish("length"), Finish("tool_calls"), Finish("error", error="gone")])


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=12), FINISHES)
def test_every_item_is_told_from_its_beginning_to_its_end(pieces: list[Piece], finish: Finish) -> None:
    events, whole = played(*pieces, finish=finish)
    added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    assert added == list(range(len(whole["output"])))
    for index, item in enumerate(whole["output"]):
        own = [event for event in events if event.get("output_index") == index]
        assert own[0]["type"] == "response.output_item.added"
        assert own[-1] == own[-1] | {"type": "response.output_item.done", "item": item}
        assert {event.get("item_id", item["id"]) for event in own} == {item["id"]}
        deltas = "".join(event["delta"] for event in own if event["type"].endswith(".delta"))
        assert deltas == _text(item) == _done(own)
    said = {"message": "content", "reasoning": "reasoning"}
    for kind, channel in said.items():
        channels = (channel, "tool_calls") if channel == "content" else (channel,)
        texts = [piece.text for piece in pieces if piece.channel in channels and not piece.tag]
        items = [item for item in whole["output"] if item["type"] == kind and "refusal" not in item["content"][0]]
        assert "".join(_text(item) for item in items) == "".join(texts)
    assert sum("guard" in event for event in events) == sum(piece.guard is not None for piece in pieces)


def _text(item: dict[str, Any]) -> str:
    if item["type"] == "function_call":
        return str(item["arguments"])
    (part,) = item["content"]
    return str(part.get("text", part.get("refusal")))


def _done(own: Sequence[Event]) -> str:
    (done,) = [
        event for event in own if event["type"].endswith((".text.done", "_text.done", "refusal.done", "arguments.done"))
    ]
    return str(done.get("text", done.get("refusal", done.get("arguments"))))


def cut(piece: Piece, at: Sequence[int]) -> list[Piece]:
    """A piece of plain text in smaller pieces."""
    if not piece.text or piece.guard is not None or piece.tag:
        return [piece]
    marks = [0, *sorted({place % len(piece.text) for place in at} - {0}), len(piece.text)]
    return [Piece(piece.channel, piece.text[a:b]) for a, b in pairwise(marks)]


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=8), FINISHES, st.lists(st.integers(0, 50), max_size=6))
def test_cuts_do_not_matter(pieces: list[Piece], finish: Finish, at: list[int]) -> None:
    _, whole = played(*pieces, finish=finish)
    each = [small for piece in pieces for small in cut(piece, range(len(piece.text)))]
    some = [small for piece in pieces for small in cut(piece, at)]
    assert played(*each, finish=finish)[1] == played(*some, finish=finish)[1] == whole


# OpenAI's client -----------------------------------------------------------------------------------------------------

REQUEST: dict[str, Any] = {
    "model": "m",
    "input": "What is it?",
    "instructions": "Be brief.",
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "function", "name": "f"},
    "reasoning": {"effort": "low"},
    "text": {"verbosity": "low"},
    "metadata": {"a": "b"},
    "max_output_tokens": 50,
    "temperature": 0.5,
    "top_p": 1,
    "include": ["message.output_text.logprobs"],
    "top_logprobs": 2,
    "user": "u",
    "truncation": "auto",
}
ANSWERS: dict[str, tuple[list[Piece], Finish]] = {
    "everything": (
        [
            Piece("content", "", raw(role="assistant", content="")),
            Piece("reasoning", "Hm", raw(reasoning_content="Hm")),
            Piece("reasoning", ". No, ", guard=EVENT),
            Piece("content", "Yes", raw(content="Yes"), logprobs={"content": [{"token": "Yes", "logprob": -1}]}),
            Piece("content", "", guard=EVENT),
            Piece("content", ".\r\n\n"),
            call(0, '{"a"', "call_a", "f"),
            call(0, ":1}"),
            call(1, "{}", "call_b", "g"),
        ],
        Finish("tool_calls"),
    ),
    "words": ([Piece("content", "Grüße 👋 \u2028")], Finish("stop")),
    "nothing": ([], Finish("stop")),
    "cut short": ([Piece("content", "So")], Finish("length")),
    "failed": ([Piece("content", "So")], Finish("error", error="gone", status=502)),
    "refused": ([Piece("content", "", raw(refusal="No."))], Finish("stop")),
}


@contextmanager
def served(parts: Sequence[bytes], kind: str) -> Iterator[openai.OpenAI]:
    """OpenAI's client before a server that sends these parts to whoever asks."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", kind)
            self.end_headers()
            for part in parts:
                self.wfile.write(part)

        def log_message(self, *_: Any) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/v1"
            with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
                yield client
        finally:
            server.shutdown()
            thread.join()


def cuts(parts: list[bytes], how: str) -> list[bytes]:
    stream = b"".join(parts)
    return {"pieces": parts, "whole": [stream], "bytes": [stream[i : i + 1] for i in range(len(stream))]}[how]


def plain(value: Any) -> Any:
    """Without the fields that the client's own parsing adds."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items() if name not in ("parsed", "parsed_arguments")}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("how", ["pieces", "whole", "bytes"])
@pytest.mark.parametrize("name", ANSWERS)
def test_openais_client_ends_with_the_response_that_was_told(name: str, how: str) -> None:
    pieces, finish = ANSWERS[name]
    echo = parse_responses(json.dumps(REQUEST).encode()).echo
    events, whole = played(*pieces, finish=finish, echo=echo)
    parts = cuts(encoded(pieces, finish, USAGE, echo), how)
    snapshots: dict[int, str] = {}
    with served(parts, "text/event-stream") as client, client.responses.stream(model="m", input="?") as stream:
        heard: list[Any] = []
        for event in stream:
            heard.append(event)
            if event.type in ("response.output_text.delta", "response.function_call_arguments.delta"):
                snapshots[event.output_index] = event.snapshot
        assert [event.type for event in heard] == [event["type"] for event in events]
        if whole["status"] == "completed":
            assert plain(stream.get_final_response().to_dict()) == whole
    assert plain(heard[-1].response.to_dict()) == whole
    assert {index: _text(whole["output"][index]) for index in snapshots} == snapshots


def test_openais_client_hands_on_guards_word() -> None:
    pieces, finish = ANSWERS["everything"]
    events, _ = played(*pieces, finish=finish)
    with served(encoded(pieces, finish, USAGE), "text/event-stream") as client:
        heard: list[Any] = list(client.responses.create(model="m", input="?", stream=True))
    assert [event.to_dict() for event in heard] == events


def test_openais_client_reads_the_whole_response() -> None:
    pieces, finish = ANSWERS["everything"]
    echo = parse_responses(json.dumps(REQUEST).encode()).echo
    _, whole = played(*pieces, finish=finish, echo=echo)
    with served([json.dumps(whole).encode()], "application/json") as client:
        found = client.responses.create(model="m", input="?")
    assert found.to_dict() == whole
    assert found.output_text == "Yes.\r\n\n"
    assert found.usage is not None
    assert found.usage.output_tokens_details.reasoning_tokens == 2
    assert (found.instructions, found.max_output_tokens, found.truncation) == ("Be brief.", 50, "disabled")
    assert (found.model_extra or {})["guard"]["v"] == 1


def test_what_the_client_got_it_can_send_back() -> None:
    pieces, finish = ANSWERS["everything"]
    _, whole = played(*pieces, finish=finish)
    answer = [{"type": "function_call_output", "call_id": "call_a", "output": "42"}]
    items = [{"role": "user", "content": "?"}, *whole["output"], *answer]
    call_ = parse_responses(json.dumps({"model": "m", "input": items}).encode())
    assert call_.chat.body["messages"] == [
        {"role": "user", "content": "?"},
        {
            "role": "assistant",
            "content": "Yes.\r\n\n",
            "reasoning_content": "Hm. No, ",
            "tool_calls": [
                {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "call_b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "42"},
    ]
