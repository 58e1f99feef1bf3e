"""Nothing changes when guard stands between and only observes: asked directly and through guard, the same upstream
hears the same and its answer says the same. What is compared is read by an oracle that shares no code with guard."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, note, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.server.dialects import Spoken, document, seed_of
from tests.server.live import Live, frames, serving, settings
from tests.server.upstream import FAILURES, HEADERS, Upstream, speaking

TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
OF_A_CHUNK = {"id", "object", "created", "model", "choices", "usage", "guard"}
OF_A_CHOICE = {"index", "delta", "logprobs", "finish_reason", "message"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with speaking() as server:
        yield server


@pytest.fixture(scope="module")
def guarded(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder: Path = tmp_path_factory.mktemp("equal")
    model = {"name": "m", "backend": "openai", "base_url": upstream.url}
    with serving(settings(folder, models=[model])) as live:
        yield live


@pytest.fixture(scope="module")
def direct(upstream: Upstream) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=upstream.url, timeout=20, trust_env=False) as client:
        yield client


# The oracle


class Told:
    """What a stream says, read by the rules of the API: every value of every field, in order."""

    def __init__(self, raw: bytes) -> None:
        *data, done = frames(raw)
        assert done == "[DONE]"
        self.chunks: list[dict[str, Any]] = [json.loads(item) for item in data]
        self.choices: dict[int, Choice] = {}
        self.top: dict[str, Any] = {}
        for chunk in self.chunks:
            assert isinstance(chunk["choices"], list)
            self.top |= {name: value for name, value in chunk.items() if name not in OF_A_CHUNK and value is not None}
            for choice in chunk["choices"]:
                self.choices.setdefault(choice["index"], Choice()).take(choice)

    @property
    def usage(self) -> dict[str, Any] | None:
        """The last usage that was told, without guard's own."""
        told = [chunk["usage"] for chunk in self.chunks if chunk.get("usage")]
        return {name: value for name, value in told[-1].items() if name != "guard"} if told else None

    @property
    def ids(self) -> set[Any]:
        return {(c["id"], c["created"], c["model"]) for c in self.chunks if c["id"]}


class Choice:
    """One choice: texts joined, calls by index, everything else as the sequence of what was told."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.typed: list[Any] = []
        self.order: list[str] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.fields: dict[str, list[Any]] = {}
        self.logprobs: list[Any] = []
        self.reasons: list[str] = []
        self.roles: list[str] = []

    def take(self, choice: Mapping[str, Any]) -> None:
        assert not self.reasons, "something behind the finish"
        for name, value in choice["delta"].items():
            if value is not None:
                self._field(name, value)
        for name in choice.keys() - OF_A_CHOICE:
            if choice[name] is not None:
                self.fields.setdefault("beside " + name, []).append(choice[name])
        if choice.get("logprobs"):
            self.logprobs += choice["logprobs"]["content"]
        if choice["finish_reason"] is not None:
            self.reasons.append(choice["finish_reason"])

    def _field(self, name: str, value: Any) -> None:
        if name == "role":
            self.roles.append(value)
        elif name in TEXTS and isinstance(value, str):
            self.texts[name] = self.texts.get(name, "") + value
            self._came(name if value and name != "refusal" else "")  # no channel; it may ride beside one
        elif name == "content":
            for part in value:
                self._part(part)
        elif name == "tool_calls":
            for call in value:
                self._call(call)
        else:
            self.fields.setdefault(name, []).append(value)

    def _part(self, part: dict[str, Any]) -> None:
        name = {"thinking": "thinking", "text": "text"}.get(part["type"])
        if name is None:
            self.fields.setdefault("parts", []).append(part)
            return
        text = part["text"] if name == "text" else "".join(inner["text"] for inner in part["thinking"])
        self._came(name)
        if self.typed and self.typed[-1][0] == name:
            text = self.typed.pop()[1] + text
        self.typed.append((name, text))

    def _call(self, call: dict[str, Any]) -> None:
        if call["index"] not in self.calls:
            self._came(f"call {call['index']}")
        entry = self.calls.setdefault(call["index"], {})
        for name, value in call.items():
            if name == "index":
                continue
            if isinstance(value, dict) and name in ("function", "custom"):
                for inner, text in value.items():
                    entry[f"{name}.{inner}"] = entry.get(f"{name}.{inner}", "") + text
            elif value is not None:
                entry[name] = value

    def _came(self, name: str) -> None:
        if name and self.order[-1:] != [name]:
            self.order.append(name)

    def message(self) -> dict[str, Any]:
        """As one message: texts and calls as they are, audio and a function call grown, lists joined, else the last."""
        out: dict[str, Any] = dict(self.texts)
        for name, values in self.fields.items():
            if name.startswith("beside ") or name == "parts":
                continue
            out[name] = (
                _audio(values) if name == "audio" else _grown(values) if name == "function_call" else _one(values)
            )
        out["calls"] = self.calls
        return out

    def beside(self) -> dict[str, Any]:
        """The fields beside the delta, as those of one choice."""
        return {n.removeprefix("beside "): _one(v) for n, v in self.fields.items() if n.startswith("beside ")}


def _one(values: list[Any]) -> Any:
    return [item for value in values for item in value] if isinstance(values[0], list) else values[-1]


def _grown(values: list[Any]) -> dict[str, str]:
    return {n: "".join(v.get(n, "") for v in values) for n in ("name", "arguments")}


def _audio(values: list[Any]) -> dict[str, Any]:
    last: dict[str, Any] = {}
    for value in values:
        last |= value
    if "data" in last:
        last["data"] = b"".join(base64.b64decode(value.get("data", "")) for value in values)
        last["transcript"] = "".join(value.get("transcript", "") for value in values)
    return last


def whole(choice: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A choice of a whole answer, for comparison: its message and what stands beside it."""
    message = {name: value for name, value in choice["message"].items() if name != "role"}
    calls = {}
    for index, call in enumerate(message.pop("tool_calls", ())):
        kind = call["type"]
        calls[index] = {n: v for n, v in call.items() if n != kind} | {f"{kind}.{n}": v for n, v in call[kind].items()}
    if "data" in message.get("audio", {}):
        message["audio"]["data"] = base64.b64decode(message["audio"]["data"])
    return message | {"calls": calls}, {name: choice[name] for name in choice.keys() - OF_A_CHOICE}


def same_stream(ours: Told, theirs: Told, *, asked: bool) -> None:
    """Both streams say the same."""
    assert ours.top == theirs.top
    assert ours.ids == theirs.ids
    assert ours.choices.keys() == theirs.choices.keys()
    for index, choice in theirs.choices.items():
        mine = ours.choices[index]
        for name in ("texts", "typed", "order", "calls", "fields", "logprobs", "reasons"):
            assert getattr(mine, name) == getattr(choice, name), (index, name)
        assert not choice.roles or set(mine.roles) == {"assistant"}
    if asked and theirs.usage is not None:
        assert ours.usage == theirs.usage
    if not asked:
        assert all("usage" not in chunk for chunk in ours.chunks)


def same_answer(ours: dict[str, Any], theirs: Told) -> None:
    """A whole answer says what the stream said."""
    assert ours["object"] == "chat.completion"
    assert {(ours["id"], ours["created"], ours["model"])} == theirs.ids
    known = OF_A_CHUNK - {"guard"}
    assert {n: v for n, v in ours.items() if n not in known} == theirs.top
    assert [choice["index"] for choice in ours["choices"]] == sorted(theirs.choices)
    for choice in ours["choices"]:
        told = theirs.choices[choice["index"]]
        message, beside = whole(choice)
        typed = message.pop("content")
        expected = told.message()
        text = expected.pop("content", "")
        if told.typed:
            assert _typed(typed) == (told.typed, told.fields.get("parts", []))
        else:
            assert (typed or "") == text
        assert message == expected
        assert beside == told.beside()
        assert (choice["logprobs"] or {}).get("content", []) == told.logprobs
        assert [choice["finish_reason"]] == told.reasons


def _typed(parts: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    read = Choice()
    for part in parts:
        read._part(part)
    return read.typed, read.fields.get("parts", [])


# The requests

TEXT = st.text(max_size=12) | st.sampled_from(["Hi", "2 + 2 = 5?", "naïve 🙂", '"usage"', "\x00\x7f\u2028"])
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
PART = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}),
    st.fixed_dictionaries({"type": st.just("image_url"), "image_url": st.just({"url": "data:image/png;base64,AA=="})}),
    st.fixed_dictionaries({"type": st.just("input_audio"), "input_audio": st.just({"data": "AA==", "format": "wav"})}),
    st.fixed_dictionaries({"type": st.just("file"), "file": st.just({"file_id": "f"})}),
)
CONTENT = TEXT | st.lists(PART, min_size=1, max_size=3)
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
MESSAGE = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "developer"]), "content": CONTENT},
        optional={"name": TEXT, "cache_control": ANY},
    ),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": st.none() | CONTENT},
        optional={"tool_calls": st.just([CALL]), "reasoning_content": TEXT, "refusal": st.none() | TEXT, "prefix": ANY},
    ),
    st.fixed_dictionaries({"role": st.just("tool"), "tool_call_id": st.just("c1"), "content": CONTENT}),
)
TOOL = {"type": "function", "function": {"name": "f0", "parameters": {"type": "object", "properties": {"q": {}}}}}
LIMIT = st.none() | st.integers(1, 4096)
BODY = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, min_size=1, max_size=4)},
    optional={
        "n": st.integers(1, 3),
        "logprobs": st.booleans(),
        "top_logprobs": st.integers(0, 5),
        "tools": st.just([TOOL]) | st.just([TOOL, {"type": "custom", "custom": {"name": "grep"}}]),
        "functions": st.just([{"name": "f"}]),
        "tool_choice": st.sampled_from(["auto", "none", "required"]) | st.just({"type": "function"}),
        "parallel_tool_calls": st.booleans(),
        "stop": st.none() | TEXT | st.lists(TEXT, max_size=3),
        "max_tokens": LIMIT,
        "max_completion_tokens": LIMIT,
        "seed": st.none() | st.integers(-(2**63), 2**63),
        "temperature": st.none() | st.floats(0, 2) | st.integers(0, 2),
        "top_p": st.floats(0, 1),
        "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
        "stream_options": st.none()
        | st.fixed_dictionaries({}, optional={"include_usage": st.booleans(), "include_obfuscation": st.booleans()}),
        "user": TEXT,
        "logit_bias": st.just({"50256": -100}),
        "metadata": st.dictionaries(TEXT, TEXT, max_size=2),
        "chat_template_kwargs": ANY,
        "x_unknown": ANY,
    },
)
NAMING = st.sampled_from(["model", "header", "field"])


def through_guard(body: dict[str, Any], naming: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The request with the policy named in one of the three ways, and its headers."""
    match naming:
        case "model":
            return body | {"model": "m@observe"}, {}
        case "header":
            return body, {"x-guard-policy": "observe"}
        case _:
            return body | {"guard": {"policy": "observe"}}, {}


def exact(value: Any) -> str:
    """JSON that tells 1 from 1.0."""
    return json.dumps(value, sort_keys=True)


def streamed(client: httpx.Client, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Told:
    response = client.post(path, json=body | {"stream": True}, headers=headers)
    assert response.status_code == 200, response.text
    return Told(response.content)


def check(live: Live, upstream: Upstream, client: httpx.Client, body: dict[str, Any], naming: str) -> None:
    """The whole comparison for one request."""
    body = {"model": "m"} | body
    asked = bool((body.get("stream_options") or {}).get("include_usage"))
    supervised, headers = through_guard(body, naming)
    start = len(upstream.seen)
    theirs = streamed(client, "/chat/completions", body)
    ours = streamed(live.client, "/v1/chat/completions", supervised, headers)
    answer = live.client.post("/v1/chat/completions", json=supervised, headers=headers)
    assert answer.status_code == 200, answer.text
    expected = body | {"stream": True}
    expected["stream_options"] = (body.get("stream_options") or {}) | {"include_usage": True}
    assert [exact(seen) for seen in upstream.seen[start + 1 :]] == [exact(expected)] * 2
    same_stream(ours, theirs, asked=asked)
    same_answer(answer.json(), theirs)
    usage = {n: v for n, v in answer.json()["usage"].items() if n != "guard"}
    told = [chunk["usage"] for chunk in Spoken(expected).chunks if chunk.get("usage")]
    assert not told or usage == told[-1]
    upstream.seen.clear()


def examples(count: int) -> hypothesis_settings:
    return hypothesis_settings(
        max_examples=count,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )


@pytest.mark.parametrize(("cut", "count"), [("whole", 150), ("random", 150), ("bytes", 5)])
def test_any_request_and_its_answer_pass_unchanged(
    guarded: Live, upstream: Upstream, direct: httpx.Client, cut: str, count: int
) -> None:
    @examples(count)
    @given(body=BODY, naming=NAMING)
    def compared(body: dict[str, Any], naming: str) -> None:
        asked = body | {"cut": cut, "dialect": {"whole": False}}
        note(f"seed of the answer: {seed_of({'model': 'm'} | asked)}")
        check(guarded, upstream, direct, asked, naming)

    number = random.SystemRandom().randrange(2**32)
    print(f"seed of the requests: {number}")
    seed(number)(compared)()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("tools", [False, True])
@pytest.mark.parametrize("reasoning", ["", "reasoning", "reasoning_content"])
def test_a_server_that_does_not_stream_is_heard_in_full(
    guarded: Live, upstream: Upstream, stream: bool, tools: bool, reasoning: str
) -> None:
    dialect = {"whole": True, "reasoning": reasoning}
    body: dict[str, Any] = {"model": "m@observe", "messages": [{"role": "user", "content": "Hi"}], "n": 2}
    body |= {"dialect": dialect, "stream_options": {"include_usage": True}} | ({"tools": [TOOL]} if tools else {})
    expected = document(Spoken(body))
    if stream:
        told = streamed(guarded.client, "/v1/chat/completions", body)
        assert told.ids == {("chatcmpl-up", 1700000000, "upstream-1")}
        assert told.usage == expected["usage"]
        assert told.top == {"provider": "P"}
        heard = [(told.choices[i].message(), told.choices[i].beside(), told.choices[i].reasons) for i in (0, 1)]
    else:
        answer = guarded.client.post("/v1/chat/completions", json=body).json()
        assert (answer["id"], answer["created"], answer["model"]) == ("chatcmpl-up", 1700000000, "upstream-1")
        assert answer["provider"] == "P"
        heard = [(*whole(choice), [choice["finish_reason"]]) for choice in answer["choices"]]
    assert heard == [(*whole(choice), [choice["finish_reason"]]) for choice in expected["choices"]]


@pytest.mark.parametrize("cut", ["whole", "random", "bytes"])
@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("usage", ["last", "nulls"])
@pytest.mark.parametrize("reasoning", ["reasoning_content", "reasoning", "both", "typed", ""])
def test_events_of_one_thing_pass_byte_for_byte(
    guarded: Live, direct: httpx.Client, cut: str, asked: bool, usage: str, reasoning: str
) -> None:
    plain = {"tools": "fragments", "together": False, "paired": False, "finish": "own", "whole": False}
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "cut": cut}
    body["n"] = 2 if reasoning else 1  # white space is held while a tag may follow it, and others pass by
    body |= {"tools": [TOOL], "logprobs": True, "stream_options": {"include_usage": asked}}
    body |= {"dialect": plain | {"usage": usage, "reasoning": reasoning, "top": True, "beside": True}}
    theirs = direct.post("/chat/completions", json=body).content
    ours = guarded.client.post("/v1/chat/completions", json=body | {"model": "m@observe"}).content
    if asked:  # guard's own count, the last thing before the end, is the only difference
        assert ours.rsplit(b"data: ", 2)[0] == theirs.rsplit(b"data: ", 2)[0]
    else:
        assert [json.loads(frame) for frame in frames(ours)[:-1]] == [json.loads(f) for f in frames(theirs)[:-1]]
        assert usage == "nulls" or ours == theirs


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", FAILURES)
def test_a_refusal_passes_byte_for_byte(guarded: Live, direct: httpx.Client, name: str, stream: bool) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "fail": name, "stream": stream}
    theirs = direct.post("/chat/completions", json=body)
    ours = guarded.client.post("/v1/chat/completions", json=body | {"model": "m@observe"})
    assert ours.status_code == theirs.status_code == FAILURES[name].status
    if theirs.content:
        assert ours.content == theirs.content
    for header in HEADERS | FAILURES[name].headers:
        assert ours.headers[header] == theirs.headers[header]


@pytest.mark.parametrize("name", ["limit", "page", "text"])
def test_a_refusal_keeps_its_content_type(guarded: Live, name: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "fail": name}
    assert guarded.client.post("/v1/chat/completions", json=body).headers["content-type"] == FAILURES[name].kind


@pytest.mark.parametrize("stream", [True, False])
def test_headers_that_a_client_can_use_pass(guarded: Live, direct: httpx.Client, stream: bool) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    theirs = direct.post("/chat/completions", json=body)
    ours = guarded.client.post("/v1/chat/completions", json=body)
    assert ours.headers["content-type"].partition(";")[0] == theirs.headers["content-type"].partition(";")[0]
    for header in HEADERS:
        assert ours.headers[header] == theirs.headers[header]
