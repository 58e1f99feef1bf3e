"""What goes wrong at a provider, and what is said of it: statuses, words, limits of patience, no secrets."""

import asyncio
import json
from typing import Any

import pytest

from guard.core.events import Delta
from guard.errors import RequestError, UpstreamDisconnected, UpstreamError, UpstreamTimeout
from tests.backends.litellm_wire import CLAUDE, GEMINI, KEY, PLAIN, QUIET, ask, claude, gemini, made, plain
from tests.backends.test_openai_server import Server, answer, chunked, cut
from tests.backends.test_openai_server import server as server

pytestmark = QUIET


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY", "COHERE_API_KEY"):
        monkeypatch.setenv(name, KEY)


async def fails(server: Server, model: str = CLAUDE, **options: Any) -> tuple[UpstreamError, str]:
    """The error that a request ends with, and the text that came before it."""
    body = options.pop("body", {})
    backend = await made(server.url, model, **options)
    said = ""
    try:
        async for batch in backend.begin(ask(**body)).attempt(0):
            said += "".join(i[1].text for i in batch if isinstance(i, tuple) and isinstance(i[1], Delta))
    except UpstreamError as error:
        return error, said
    finally:
        await backend.close()
    raise AssertionError("it did not fail")


def refusal(status: str, words: str, extra: str = "") -> Any:
    body = {"type": "error", "error": {"type": "some_error", "message": words}}
    return answer(json.dumps(body).encode(), status, "application/json", extra)


@pytest.mark.parametrize("model", [CLAUDE, GEMINI, PLAIN])
@pytest.mark.parametrize(
    "status", ["400 Bad", "401 No", "403 No", "404 No", "429 Slow", "500 Oops", "503 Gone", "529 Full"]
)
async def test_a_refusal_keeps_its_status_its_words_and_its_headers(server: Server, model: str, status: str) -> None:
    server.replies = [refusal(status, f"slow down, {KEY}", "retry-after: 7\r\nrequest-id: r1\r\nset-cookie: a=b\r\n")]
    error, said = await fails(server, model)
    assert error.status == int(status[:3])
    assert str(error).endswith(f"refused with {status[:3]}: slow down, ***")
    assert error.headers == {"retry-after": "7", "request-id": "r1"}
    assert error.body is None  # it is in the provider's format, and clients read OpenAI's
    assert said == ""
    assert len(server.seen) == 1  # it is not tried again


async def test_a_provider_on_connections_of_litellms_own(server: Server) -> None:
    server.replies = [refusal("429 Slow", f"slow down, {KEY}", "retry-after: 7\r\n")]
    error, _ = await fails(server, "cohere/command-r")
    assert error.status == 429
    assert "slow down" in str(error)
    assert KEY not in str(error)


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (CLAUDE, claude({"text": "half of it"}, stop=None, whole=False)),
        (CLAUDE, claude({"text": "half of it"}, stop=None)),
        (GEMINI, gemini({"text": "half of it"}, finish=None)),
        (PLAIN, plain({"content": "half of it"}, finish=None, done=False)),
    ],
    ids=["claude", "claude between blocks", "gemini", "openai-like"],
)
@pytest.mark.parametrize("end", [True, False], ids=["closed", "cut"])
async def test_an_answer_that_is_not_finished_is_told_as_that(
    server: Server, model: str, parts: list[bytes], end: bool
) -> None:
    server.replies = [chunked(*parts, end=end)]
    error, said = await fails(server, model)
    assert isinstance(error, UpstreamDisconnected)
    assert said == "half of it"


@pytest.mark.parametrize("said", ["", "half of it"])
async def test_an_error_in_the_stream(server: Server, said: str) -> None:
    blocks = [{"text": said}] if said else []
    server.replies = [chunked(*claude(*blocks, error="overloaded_error", whole=False))]
    error, heard = await fails(server)
    assert 500 <= error.status < 600
    assert str(error) == "anthropic (claude-sonnet-4-5) reported in its stream: Overloaded"
    assert heard == said


@pytest.mark.parametrize("model", [CLAUDE, GEMINI, PLAIN])
async def test_a_connection_that_broke_before_the_answer_is_tried_once_more(server: Server, model: str) -> None:
    parts = {CLAUDE: claude({"text": "a"}), GEMINI: gemini({"text": "a"})}.get(model, plain({"content": "a"}))
    server.replies = [cut, chunked(*parts)]
    backend = await made(server.url, model)
    assert [batch async for batch in backend.begin(ask()).attempt(0)]
    await backend.close()
    server.seen.clear()
    server.replies = [cut]
    error, _ = await fails(server, model)
    assert (error.status, len(server.seen)) == (502, 2)
    assert "cannot be reached" in str(error)


async def test_who_is_not_there_cannot_be_reached() -> None:
    backend = await made("http://127.0.0.1:9/v1")
    with pytest.raises(UpstreamError, match="cannot be reached") as caught:
        await anext(backend.begin(ask()).attempt(0))
    assert caught.value.status == 502
    await backend.close()


@pytest.mark.parametrize("model", [CLAUDE, GEMINI, PLAIN])
async def test_what_is_no_http_is_told_without_the_address(server: Server, model: str) -> None:
    async def broken(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 abc\r\n\r\n")

    server.replies = [broken]
    error, _ = await fails(server, model)
    assert "cannot be reached: Bad status line" in str(error)
    assert "url=" not in str(error)
    assert KEY not in str(error)


@pytest.mark.parametrize("model", [CLAUDE, PLAIN])
async def test_a_redirect_is_not_followed(server: Server, model: str) -> None:
    server.replies = [answer(b"", "307 Elsewhere", extra=f"location: {server.url}/elsewhere\r\n")]
    error, _ = await fails(server, model)
    assert "redirects (307)" in str(error)
    assert len(server.seen) == 1


@pytest.mark.parametrize("model", [CLAUDE, PLAIN])
async def test_patience_has_an_end(server: Server, model: str) -> None:
    parts = claude({"text": "half of it"}) if model == CLAUDE else plain({"content": "half of it"})
    begun = 4 if model == CLAUDE else 1
    for limit, first in (("first_token_s", 0), ("idle_s", begun), ("total_s", begun)):
        server.replies = [chunked(*parts[:first], 30.0)]
        error, _ = await fails(server, model, timeouts={limit: 0.3})
        assert isinstance(error, UpstreamTimeout)
        assert error.status == 504
        assert f"0.3 s ({limit})" in str(error)
        server.seen.clear()


async def test_what_the_provider_has_nothing_like_is_the_clients_error(server: Server) -> None:
    backend = await made(server.url)
    with pytest.raises(RequestError, match=r"anthropic does not support parameters: .*'logit_bias'") as caught:
        await anext(backend.begin(ask(logit_bias={"1": 2})).attempt(0))
    assert caught.value.status == 400
    assert "drop_params" not in str(caught.value)
    assert not server.seen
    await backend.close()
    server.replies = [chunked(*claude({"text": "a"}))]
    lenient = await made(server.url, extra={"drop_params": True})
    assert [b async for b in lenient.begin(ask(logit_bias={"1": 2})).attempt(0)]
    assert "logit_bias" not in server.seen[0][2]
    await lenient.close()


async def test_a_missing_key_is_told_without_a_request(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    error, _ = await fails(server)
    assert error.status == 401
    assert "ANTHROPIC_API_KEY" in str(error)
    assert not server.seen


async def test_headers_worth_passing_on_are_passed_on(server: Server) -> None:
    async def reply(writer: Any) -> None:
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: r1\r\nset-cookie: a=b\r\n"
        limits = "anthropic-ratelimit-requests-remaining: 5\r\nconnection: close\r\n\r\n"
        writer.write((head + limits).encode() + b"".join(claude({"text": "a"})))
        await writer.drain()
        writer.close()

    server.replies = [reply]
    backend = await made(server.url)
    turn = backend.begin(ask())
    assert turn.headers == {}
    assert [batch async for batch in turn.attempt(0)]
    assert turn.headers == {"request-id": "r1", "anthropic-ratelimit-requests-remaining": "5"}
    await backend.close()
