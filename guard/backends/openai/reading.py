"""One answer read from beginning to end, streamed or not.

Joins a stream of bytes and the reader that understands them; knows no requests. The caller looks at `reader.error`
when it is over.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import aiohttp

from guard.backends import Batch
from guard.backends.openai.stream import BodyStream
from guard.chat.reader import Reader
from guard.errors import UpstreamError

WHOLE_LIMIT = 64 << 20
"""Bytes of an answer that was not streamed."""


async def batches(response: aiohttp.ClientResponse, stream: BodyStream, reader: Reader) -> AsyncGenerator[Batch, None]:
    """What every read brings, until the answer is whole or `reader.error` is set. Raises UpstreamTimeout."""
    if response.content_type == "application/json":
        if batch := await _whole(stream, reader):
            yield batch
    else:
        begun = False
        while not reader.done and reader.error is None and (data := await stream.read()):
            if batch := reader.feed(data):
                if not begun:
                    begun = True
                    stream.begin()
                yield batch
    if reader.error is None and (batch := reader.finish()):
        yield batch
    if reader.error is None:
        await stream.drain()


async def _whole(stream: BodyStream, reader: Reader) -> Batch:
    """A server that ignored `stream`: its one JSON document."""
    body = bytearray()
    while len(body) <= WHOLE_LIMIT and (data := await stream.read()):
        body += data
    if len(body) > WHOLE_LIMIT:
        reader.error = UpstreamError(f"an answer of more than {WHOLE_LIMIT} bytes that was not streamed")
        return ()
    if stream.broken:  # half a document: `finish` will say that the answer is not whole
        return ()
    return reader.whole(bytes(body))
