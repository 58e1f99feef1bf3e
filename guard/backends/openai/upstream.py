"""One server: its connections, the headers it gets, its refusals translated, and what has been learned about it.

Knows HTTP, not chunks. Rules:
  Foreign errors become `UpstreamError` here and nowhere else; no secret is in one, not even one the server echoes.
  A request is repeated only before its first byte: once after a broken connection, once without `stream_options`
  where the server does not know them. Redirects are not followed: they would carry the key elsewhere.
  Connections are shared by all clients, cookies by none.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from guard.backends import Verbatim
from guard.backends.openai.options import OpenAIOptions
from guard.backends.openai.stream import BodyStream
from guard.backends.openai.verbatim import Answer, safe_path
from guard.chat.trial import Abilities
from guard.errors import RequestError, UpstreamError, UpstreamTimeout

ERROR_LIMIT = 64 << 10
"""Bytes of an error body that are passed on."""

_FIXED = {"content-type": "application/json", "accept": "text/event-stream", "accept-encoding": "identity"}
_OURS = {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer"} | {
    *("cookie", "expect", "proxy-authorization", "proxy-connection"),
}
_PASSED = ("x-ratelimit-", "openai-")
_PASSED_WHOLE = frozenset(("retry-after", "retry-after-ms", "x-request-id", "request-id"))


def passed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The response headers a client can use: rate limits, request ids; lower-case names."""
    low = ((name.lower(), value) for name, value in headers.items())
    return {name: value for name, value in low if name in _PASSED_WHOLE or name.startswith(_PASSED)}


def _kind(headers: Mapping[str, str]) -> dict[str, str]:
    """The type of a body that is passed on as it came."""
    return {"content-type": headers["content-type"]} if "content-type" in headers else {}


class Upstream:
    """The server behind one `base_url`.

    Attributes:
        where: host and port, for messages.
        address: base_url without its query, for people.
        usage_refused: it does not know `stream_options`.
        completions_refused: it has no usable `/completions`; `completions_worked` once it has been seen to.
        ids_refused: it takes no token ids.
        abilities: how its models go on with a prefilled message, by model name.
        context: tokens of its context window where `/models` tells (vLLM, SGLang), else None.
    """

    def __init__(self, options: OpenAIOptions) -> None:
        self._options = options
        self._base = URL(options.base_url)
        self._session: aiohttp.ClientSession | None = None
        self._key: str | None = None
        self.where = f"{self._base.host}:{self._base.port}"
        self.address = str(self._base.with_query(None).with_fragment(None))
        self.usage_refused = False
        self.completions_refused = False
        self.completions_worked = False
        self.ids_refused = False
        self.abilities: dict[str, Abilities] = {}
        self.context: int | None = None
        self._asked_context = False

    async def open(self) -> None:
        """Make the connection pool; nothing is sent. Raises ConfigError if a key is missing."""
        self._key = self._options.key()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._options.verify),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._options.timeouts.connect_s),
        )

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
        if self._session is not None:
            await self._session.close()

    async def post(
        self, route: str, body: Mapping[str, Any], headers: Mapping[str, str], deadline: float
    ) -> aiohttp.ClientResponse:
        """Send a request; return once a 2xx answer has begun. `deadline` is in the loop's time.

        Raises UpstreamError with the server's status and body, UpstreamTimeout, RequestError.
        """
        if self.usage_refused:
            body = _without_usage(body)
        response = await self._send(route, body, headers, deadline)
        if response.status < 300:
            return response
        refused = await self._refusal(response, headers)
        if "stream_options" in body and _about_usage(refused):
            response = await self.post(route, _without_usage(body), headers, deadline)
            self.usage_refused = True  # only now: a refusal may repeat the whole request, whatever it is about
            return response
        raise refused

    async def pass_on(self, request: Verbatim) -> Answer:
        """Send a request as it is, with guard's key if it has one. Raises UpstreamError, RequestError."""
        assert self._session is not None
        url = f"{str(self._base.with_query(None)).rstrip('/')}/{safe_path(request.path)}"
        query = "&".join(part for part in (request.query, self._base.raw_query_string) if part)
        started = asyncio.get_running_loop().time()
        headers = self._headers(request.headers, fixed={})
        async with self._translated(started + self._options.timeouts.first_token_s):
            response = await self._session.request(
                request.method,
                URL(f"{url}?{query}" if query else url, encoded=True),
                data=io.BytesIO(request.body) if request.body else None,
                headers=headers,
                skip_auto_headers=("accept-encoding", "content-type", "user-agent"),
                allow_redirects=False,
                auto_decompress=False,
            )
        if 300 <= response.status < 400:
            response.close()
            raise self._redirected(response.status)
        stream = BodyStream(response, self._options.timeouts, where=self.where, started=started)
        return Answer(response, stream, self.where)

    async def models(self, headers: Mapping[str, str]) -> tuple[int, list[Any]]:
        """Status and entries of `/models`; (0, []) if the server cannot be reached."""
        assert self._session is not None
        try:
            async with asyncio.timeout(2):
                async with self._session.get(
                    self._url("models"), headers=self._headers(headers), allow_redirects=False
                ) as answer:
                    listed = msgspec.json.decode(await answer.read()) if answer.status == 200 else {}
                    status = answer.status
                if status >= 500 and await self._healthy():  # transformers serve lists models only when online
                    status = 200
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError):
            return 0, []
        entries = listed.get("data") if isinstance(listed, dict) else None
        return status, entries if isinstance(entries, list) else []

    async def prompt(self, body: Mapping[str, Any], headers: Mapping[str, str], deadline: float) -> str | None:
        """What llama.cpp's server makes of a chat request; None from any other."""
        try:
            response = await self._send("../apply-template", body, headers, deadline)
            async with asyncio.timeout_at(deadline), response:
                told = msgspec.json.decode(await _read_some(response)) if response.status == 200 else None
        except (UpstreamError, TimeoutError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        prompt = told.get("prompt") if isinstance(told, dict) else None
        return prompt if isinstance(prompt, str) else None

    async def learn_context(self, model: str | None, headers: Mapping[str, str]) -> int | None:
        """The model's context window in tokens if the server tells; asked once."""
        if not self._asked_context:
            self._asked_context = True
            _, entries = await self.models(headers)
            sizes = {e.get("id"): e.get("max_model_len") for e in entries if isinstance(e, dict)}
            size = sizes.get(model, next(iter(sizes.values()), None))
            self.context = size if isinstance(size, int) and size > 0 else None
        return self.context

    def scrub(self, text: bytes, headers: Mapping[str, str]) -> bytes:
        """`text` without any secret that was sent with a request."""
        sent = self._headers(headers)
        for secret in _secrets(sent.get("authorization", ""), *self._options.headers.values()):
            text = text.replace(secret, b"***")
        return text

    async def _healthy(self) -> bool:
        assert self._session is not None
        async with self._session.get(self._base.origin() / "health", allow_redirects=False) as answer:
            return answer.status == 200

    def _url(self, route: str) -> URL:
        return self._base.joinpath(*route.split("/")).with_query(self._base.query)

    def _headers(self, client: Mapping[str, str], fixed: Mapping[str, str] = _FIXED) -> dict[str, str]:
        ours = _OURS | fixed.keys()
        headers = {name.lower(): value for name, value in client.items() if name.lower() not in ours}
        headers |= {name.lower(): value for name, value in self._options.headers.items()}
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key}"
        return {**headers, **fixed}

    async def _send(
        self, route: str, body: Mapping[str, Any], headers: Mapping[str, str], deadline: float
    ) -> aiohttp.ClientResponse:
        try:
            encoded = msgspec.json.encode(body)
        except (TypeError, ValueError) as error:
            raise RequestError(f"the request cannot be written as JSON: {error}") from None
        try:
            return await self._try(route, encoded, headers, deadline)
        except UpstreamError as error:
            if not isinstance(error.__cause__, aiohttp.ClientConnectionError):
                raise
        return await self._try(route, encoded, headers, deadline)

    async def _try(
        self, route: str, body: bytes, headers: Mapping[str, str], deadline: float
    ) -> aiohttp.ClientResponse:
        assert self._session is not None
        async with self._translated(deadline):
            return await self._session.post(
                self._url(route), data=io.BytesIO(body), headers=self._headers(headers), allow_redirects=False
            )

    @asynccontextmanager
    async def _translated(self, deadline: float) -> AsyncIterator[None]:
        """Until the answer begins: no longer than `deadline`, and foreign errors become `UpstreamError`."""
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except aiohttp.ConnectionTimeoutError:
            limit = self._options.timeouts.connect_s
            raise UpstreamTimeout(f"{self.where} could not be connected to within {limit:g} s (connect_s)") from None
        except TimeoutError:
            limit = self._options.timeouts.first_token_s
            raise UpstreamTimeout(f"{self.where} did not answer within {limit:g} s (first_token_s)") from None
        except (aiohttp.ClientError, OSError) as error:
            said = str(error) or type(error).__name__
            raise UpstreamError(f"{self.where} cannot be reached: {said}") from error

    def _redirected(self, status: int) -> UpstreamError:
        return UpstreamError(f"{self.where} redirects ({status}): set base_url to where it really is")

    async def _refusal(self, response: aiohttp.ClientResponse, headers: Mapping[str, str]) -> UpstreamError:
        """What an answer that is not 2xx amounts to; its connection is let go."""
        status, reason = response.status, response.reason
        if status < 400:
            response.close()
            return self._redirected(status)
        body = self.scrub(await _read_some(response), headers)
        return UpstreamError(
            f"{self.where} refused with {status} {reason}",
            status=status,
            body=body or None,
            headers=passed_headers(response.headers) | (_kind(response.headers) if body else {}),
        )


async def _read_some(response: aiohttp.ClientResponse) -> bytes:
    """An error's body as far as it comes within two seconds and `ERROR_LIMIT`."""
    body = bytearray()
    try:
        async with asyncio.timeout(2):
            while len(body) < ERROR_LIMIT and (data := await response.content.readany()):
                body += data
    except (aiohttp.ClientError, OSError):  # TimeoutError is one
        pass
    finally:
        response.close()
    return bytes(body[:ERROR_LIMIT])


def _about_usage(refused: UpstreamError) -> bool:
    return refused.status in (400, 422) and b"stream_options" in (refused.body or b"")


def _without_usage(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in body.items() if name != "stream_options"}


def _secrets(*values: str) -> Iterable[bytes]:
    """What of these header values must not be repeated; shorter words are no secrets."""
    words = (value.split()[-1] for value in values if value.strip())
    return (word.encode() for word in words if len(word) >= 8)
