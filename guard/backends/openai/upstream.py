"""One server: its connections, the headers it gets, its refusals translated, and what has been learned about it.

Knows HTTP, not chunks. Rules:
  Foreign errors become `UpstreamError` here and nowhere else; no secret is in one, not even one the server echoes.
  A request is repeated only before its first byte: once after a broken connection, once without `stream_options`
  where the server does not know them. Redirects are not followed: they would carry the key elsewhere.
  Connections are shared by all clients, cookies by none.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from guard.backends import Verbatim
from guard.backends.openai.answers import kind, passed_headers, read_models, read_some, said
from guard.backends.openai.keys import KEYS, in_headers, in_query
from guard.backends.openai.learned import FORGET_S, Clock, Standing, Table
from guard.backends.openai.options import OpenAIOptions
from guard.backends.openai.stream import BodyStream
from guard.backends.openai.verbatim import Answer, safe_path
from guard.errors import RequestError, UpstreamError, UpstreamTimeout

_FIXED = {"content-type": "application/json", "accept": "text/event-stream", "accept-encoding": "identity"}
_OURS = {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer"} | {
    *("cookie", "expect", "proxy-authorization", "proxy-connection"),
}
_NONE: Mapping[str, str] = MappingProxyType({})
_USAGE = {"include_usage": True}


class Upstream:
    """The server behind one `base_url`.

    Attributes:
        where: host and port, for messages.
        address: base_url without its query, for people.
        usage: whether it knows the `stream_options` that guard adds.
        completions: whether it has a usable `/completions`.
        ids: whether it takes token ids.
    """

    def __init__(self, options: OpenAIOptions, now: Clock = time.monotonic) -> None:
        self._options = options
        self._base = URL(options.base_url)
        self._session: aiohttp.ClientSession | None = None
        self._key: str | None = None
        self.where = f"{self._base.host}:{self._base.port}"
        self.address = str(self._base.with_query(None).with_fragment(None))
        self.usage = Standing(now)
        self.completions = Standing(now)
        self.ids = Standing(now)
        self._contexts: Table[str, int] = Table(now)

    @property
    def usage_refused(self) -> bool:
        """It does not know `stream_options`."""
        return self.usage.refused

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
        if self.usage.refused:
            body = _without_usage(body)
        response = await self._send(route, body, headers, deadline)
        if response.status < 300:
            return response
        refused = await self._refusal(response, headers)
        if "stream_options" in body and _about_usage(refused):
            if body["stream_options"] != _USAGE:  # what the client put into them is of this request alone
                return await self.post(route, {**body, "stream_options": _USAGE}, headers, deadline)
            response = await self.post(route, _without_usage(body), headers, deadline)
            self.usage.condemn()  # only now: a refusal may repeat the whole request, whatever it is about
            return response
        raise refused

    async def pass_on(self, request: Verbatim) -> Answer:
        """Send a request as it is, with guard's key if it has one. Raises UpstreamError, RequestError."""
        assert self._session is not None
        url = f"{str(self._base.with_query(None)).rstrip('/')}/{safe_path(request.path)}"
        own = {part.partition("=")[0] for part in self._base.raw_query_string.split("&")}
        asked = [part for part in request.query.split("&") if part.partition("=")[0] not in own]
        query = "&".join(part for part in (*asked, self._base.raw_query_string) if part)
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
        if 300 <= response.status < 400 and response.status != 304:
            response.close()
            raise self._redirected(response.status)
        stream = BodyStream(response, self._options.timeouts, where=self.where, started=started)
        return Answer(response, stream, self.where, lambda body: self.scrub(body, request.headers))

    async def models(self, headers: Mapping[str, str]) -> tuple[int, list[Any]]:
        """Status and entries of `/models`; (0, []) if the server cannot be reached."""
        assert self._session is not None
        try:
            async with asyncio.timeout(2):
                async with self._session.get(
                    self._url("models"), headers=self._headers(headers), allow_redirects=False
                ) as answer:
                    listed = msgspec.json.decode(await read_models(answer)) if answer.status == 200 else {}
                    status = answer.status
                if status >= 500 and await self._healthy():  # transformers serve lists models only when online
                    status = 200
        except (aiohttp.ClientError, OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return 0, []  # TimeoutError is an OSError
        entries = listed.get("data") if isinstance(listed, dict) else None
        return status, entries if isinstance(entries, list) else []

    async def prompt(self, body: Mapping[str, Any], headers: Mapping[str, str], deadline: float) -> str | None:
        """What llama.cpp's server makes of a chat request; None from any other."""
        try:
            response = await self._send("../apply-template", body, headers, deadline)
            async with asyncio.timeout_at(deadline), response:
                told = msgspec.json.decode(await read_some(response)) if response.status == 200 else None
        except (UpstreamError, TimeoutError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        prompt = told.get("prompt") if isinstance(told, dict) else None
        return prompt if isinstance(prompt, str) else None

    async def learn_context(self, model: str | None, headers: Mapping[str, str]) -> int | None:
        """The model's context window in tokens if the server tells (vLLM, SGLang); asked until it has answered."""
        known = self._contexts.get(model or "")
        if known is None:
            status, entries = await self.models(headers)
            sizes = {e["id"]: e.get("max_model_len") for e in entries if isinstance(e, dict) and _named(e)}
            size = sizes.get(model, next(iter(sizes.values()), None))
            known = size if isinstance(size, int) and size > 0 else 0
            if status == 200:
                self._contexts.put(model or "", known, FORGET_S)
        return known or None

    def identity(self, headers: Mapping[str, str]) -> str:
        """A word for whoever the server takes a request with these headers to be from; tells nothing of the key."""
        sent = self._headers(headers)
        keys = "\n".join(sent.get(name, "") for name in KEYS)
        return hashlib.sha256(keys.encode(errors="surrogateescape")).hexdigest()

    def scrub(self, text: bytes, headers: Mapping[str, str]) -> bytes:
        """`text` without any secret that was sent with a request."""
        sent = self._headers(headers)
        values = (*(sent.get(name, "") for name in KEYS), *self._options.headers.values())
        for secret in (*in_headers(*values), *in_query(self._base)):
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
            for name in ("openai-organization", "openai-project"):  # what the key is used for is the operator's to say
                if name not in {given.lower() for given in self._options.headers}:
                    headers.pop(name, None)
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
        async with self._translated(deadline, headers):
            return await self._session.post(
                self._url(route), data=io.BytesIO(body), headers=self._headers(headers), allow_redirects=False
            )

    @asynccontextmanager
    async def _translated(self, deadline: float, headers: Mapping[str, str] = _NONE) -> AsyncIterator[None]:
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
            words = self.scrub(said(error).encode(errors="replace"), headers).decode(errors="replace")
            cause = error if isinstance(error, aiohttp.ClientConnectionError) else None  # others tell the whole address
            raise UpstreamError(f"{self.where} cannot be reached: {words}") from cause

    def _redirected(self, status: int) -> UpstreamError:
        return UpstreamError(f"{self.where} redirects ({status}): set base_url to where it really is")

    async def _refusal(self, response: aiohttp.ClientResponse, headers: Mapping[str, str]) -> UpstreamError:
        """What an answer that is not 2xx amounts to; its connection is let go."""
        status, reason = response.status, response.reason
        if status < 400:
            response.close()
            return self._redirected(status)
        body = self.scrub(await read_some(response), headers)
        return UpstreamError(
            f"{self.where} refused with {status} {reason}",
            status=status,
            body=body or None,
            headers=passed_headers(response.headers) | (kind(response.headers) if body else {}),
        )


def _about_usage(refused: UpstreamError) -> bool:
    return refused.status in (400, 422) and b"stream_options" in (refused.body or b"")


def _without_usage(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in body.items() if name != "stream_options"}


def _named(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("id"), str)
