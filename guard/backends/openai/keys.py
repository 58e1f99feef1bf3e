"""The secrets in a request, so that no error repeats one.

Knows names of headers and addresses. Rules: a key is told in every form in which a server may repeat it; what is short
is no secret.
"""

from __future__ import annotations

from collections.abc import Iterable

from yarl import URL

KEYS = ("authorization", "api-key", "x-api-key")
"""Headers that tell a server who asks, lower-case."""

SHORTEST = 8
"""Characters of a word that may be a secret: shorter ones are none, and stand in many messages."""

_VERSION = "api-version"  # Azure's: no secret, and what its refusals are about


def in_headers(*values: str) -> Iterable[bytes]:
    """What of these header values must not be repeated: the last word, as it is and as some write it in JSON."""
    words = (value.split()[-1] for value in values if value.strip())
    return (form.encode() for word in words if len(word) >= SHORTEST for form in (word, word.replace("/", "\\/")))


def in_query(address: URL) -> Iterable[bytes]:
    """The secrets in an address, as they are sent and as they are meant."""
    parts = (part.partition("=") for part in address.raw_query_string.split("&"))
    sent = (value for name, _, value in parts if name != _VERSION)
    meant = (value for name, value in address.query.items() if name != _VERSION)
    return (value.encode() for value in {*sent, *meant} if len(value) >= SHORTEST)
