"""The parts of the litellm backend that need no provider: fields, signed blocks, endings, words of errors."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from guard.backends import Usage
from guard.backends.litellm.failures import translated
from guard.backends.litellm.fields import CHAT, LABELS, SAMPLING, arguments
from guard.backends.litellm.library import load
from guard.backends.litellm.thinking import Blocks
from guard.backends.litellm.together import together
from guard.core.events import Delta
from guard.errors import RequestError, UpstreamDisconnected, UpstreamError

KNOWN = CHAT | SAMPLING | LABELS | {"model", "messages", "stream", "stream_options", "n"}


@given(st.dictionaries(st.text(min_size=1) | st.sampled_from(sorted(KNOWN)), st.integers() | st.none()))
def test_a_field_passes_by_name_or_is_refused_by_name(body: dict[str, Any]) -> None:
    strange = {name for name, value in body.items() if name not in KNOWN and value is not None}
    body = {**body, "messages": []}
    if strange:
        with pytest.raises(RequestError) as caught:
            arguments(body, ())
        assert caught.value.param in strange
        return
    found = arguments(body, ())
    assert found.keys() <= CHAT | SAMPLING | {"messages"}
    assert None not in found.values()


def test_no_field_that_passes_is_an_argument_of_litellms_own() -> None:
    load()
    from litellm.types.utils import all_litellm_params

    assert not (CHAT | SAMPLING) & set(all_litellm_params)
    assert not (CHAT | SAMPLING) & {
        "api_base",
        "base_url",
        "api_key",
        "extra_headers",
        "extra_body",
        "timeout",
        "client",
    }


def test_messages_are_copied() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    found = arguments({"messages": messages}, ())
    found["messages"][0]["content"][0]["text"] = "b"
    assert messages[0]["content"] == [{"type": "text", "text": "a"}]


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), max_size=3), st.integers(1, 5))
def test_signed_blocks_are_the_same_however_they_are_cut(said: list[tuple[str, str]], size: int) -> None:
    blocks = Blocks()
    for text, signature in said:
        for piece in [text[i : i + size] for i in range(0, len(text), size)]:
            blocks.take({"thinking_blocks": [{"type": "thinking", "thinking": piece}]})
        blocks.take({"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": signature}]})
    blocks.take({"thinking_blocks": [{"type": "thinking", "thinking": "cut off"}]})
    assert blocks.whole == [{"type": "thinking", "thinking": t, "signature": s} for t, s in said]


def test_redacted_blocks_are_kept_as_they_are() -> None:
    blocks, redacted = Blocks(), {"type": "redacted_thinking", "data": "x"}
    blocks.take({"thinking_blocks": [redacted]})
    blocks.take({})
    assert blocks.whole == [redacted]


@given(st.binary(max_size=30), st.binary(max_size=30), st.integers(1, 40), st.booleans())
def test_an_ending_is_seen_wherever_the_stream_is_cut(before: bytes, after: bytes, size: int, there: bool) -> None:
    load()
    from guard.backends.litellm.line import Exchange

    word = b'"finishReason"'
    body = before + (word if there else b"") + after
    exchange = Exchange(where="w", ending=word)
    for i in range(0, len(body), size):
        exchange.passed(body[i : i + size])
    assert exchange.ended == (word in body)


class Timeout(Exception):
    """Bears the name of litellm's."""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "no"}}', "no"),
        (b'[{"error": {"code": 429, "message": "no"}}]', "no"),
        (b'{"message": "no"}', "no"),
        (b'{"Message": "no"}', "no"),
        (b'{"detail": [{"message": "no"}]}', "no"),
        (b'{"error": "no"}', "no"),
        (b'{"other": 1}', '{"other": 1}'),
        (b"[]", ""),
        (b"<html>no</html>", "<html>no</html>"),
        (b"\xff", "\ufffd"),
        (b"", ""),
    ],
)
def test_what_an_error_body_says(body: bytes, words: str) -> None:
    load()
    from guard.backends.litellm.line import Exchange

    exchange = Exchange(where="w", status=418, refusal=body)
    error = translated(ValueError("another thing"), exchange, ())
    assert str(error) == "w refused with 418" + (f": {words}" if words else "")


def test_what_litellm_says_is_shown_without_its_own_names_and_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    from guard.backends.litellm.line import Exchange

    monkeypatch.setenv("SOME_API_KEY", "sk-of-the-environment")
    long = (
        "litellm.APIConnectionError: OpenAIException - it broke at sk-of-the-environment\nTraceback (most recent call"
    )
    error = translated(ValueError(f"{long} last):\n  File secret.py"), Exchange(where="w"), ["another-secret"])
    assert str(error) == "w failed: it broke at ***"
    assert isinstance(error, UpstreamError)
    assert error.status == 502
    late = translated(Timeout("late, another-secret"), Exchange(where="w"), ["another-secret"])
    assert (getattr(late, "status", None), str(late)) == (504, "w did not answer in time: late, ***")
    seen = UpstreamDisconnected("the line saw it")
    assert translated(ValueError("x"), Exchange(where="w", failure=seen), ()) is seen


@given(st.text(min_size=8, alphabet=st.characters(categories=["L", "N", "P"])))
def test_no_secret_is_in_a_message(secret: str) -> None:
    load()
    from guard.backends.litellm.line import Exchange

    assume(secret not in os.environ.values())  # "CRITICAL" is one

    for exchange in (Exchange(where="w", status=400, refusal=f"bad {secret}!".encode()), Exchange(where="w")):
        said = str(translated(ValueError(f"bad {secret}!"), exchange, [secret]))
        assert secret not in said.removeprefix("w refused with 400: ").removeprefix("w failed: ")
    assert secret not in os.environ.values()


async def test_calls_read_together_are_summed_and_end_together() -> None:
    ended: list[int] = []

    async def call(index: int, fails: bool) -> Any:
        try:
            yield [(index, Delta(0, "content", "a"))]
            yield [Usage(0, {"completion_tokens": 2, "details": {"a": 1}, "kind": "x", "estimated": True})]
            if fails:
                raise UpstreamError("no")
            yield [(index, Delta(0, "content", "b"))]
        finally:
            ended.append(index)

    items = [item async for batch in together([call(0, False), call(1, False)]) for item in batch]
    assert [item.counts for item in items if isinstance(item, Usage)][-1] == {
        "completion_tokens": 4,
        "details": {"a": 2},
    }
    ended.clear()
    with pytest.raises(UpstreamError, match="no"):
        _ = [batch async for batch in together([call(0, True), call(1, False)])]
    assert sorted(ended) == [0, 1]
    ended.clear()
    left = together([call(0, False), call(1, False)])
    await anext(left)
    await left.aclose()
    assert sorted(ended) == [0, 1]
