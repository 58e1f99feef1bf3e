"""The dashboard's files, served from the package: read once, found by name, never by a path of the client's.

They hold no data; what they show they ask of `/guard/api`. Nothing runs in them but guard's own scripts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from guard.errors import RequestError

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A file as it is served. `tag` changes with its content."""

    content: bytes
    type: str
    tag: str

    def answer(self, request: Request) -> Response:
        """The file, or 304 where the client has it."""
        headers = _HEADERS | {"etag": self.tag}
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if self.tag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.type, headers=headers)


def routes() -> list[Route]:
    """`/guard/` and `/guard/static/*`, over the files as they are now."""
    pages = dict(_read(files("guard.server") / "static"))

    def found(request: Request, name: str) -> Response:
        if (page := pages.get(name)) is None:
            raise RequestError(f"there is no page {name!r}", status=404, code="not_found")
        return page.answer(request)

    async def index(request: Request) -> Response:
        return found(request, "index.html")

    async def static(request: Request) -> Response:
        return found(request, request.path_params["name"])

    return [Route("/guard/", index), Route("/guard/static/{name:path}", static)]


def _read(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Page]]:
    """Every file of a kind that is served, by its path below the folder."""
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            yield from _read(entry, f"{name}/")
        elif kind := _TYPES.get(entry.name.rpartition(".")[2]):
            content = entry.read_bytes()
            yield name, Page(content=content, type=kind, tag=f'"{hashlib.sha256(content).hexdigest()[:32]}"')
