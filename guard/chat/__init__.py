"""OpenAI's chat format as a client of it sees it: requests written, streams read. Pure: no I/O, no clock.

Below the backends, because several of them speak it. `sse` and `tags` cut up bytes and text, `chunks` and `reader` make
events of them, `continuation` writes the requests that continue a cut turn. It knows no sockets and no policies; what
guard's own clients are sent is `server/wire`'s.
"""
