"""The dashboard's files: what kind each is, when it is sent again, and that nothing else of the disk can be had."""

from __future__ import annotations

import json
import re
from http.client import HTTPConnection
from importlib.resources import files

import pytest
from starlette.requests import Request

from guard.server import pages
from guard.server.pages import Page
from tests.server.live import Live

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "png": "image/png"}
NAMES = sorted(route.path for route in pages.routes())


def _static() -> list[str]:
    folder = files("guard.server") / "static"
    return sorted(name for name, _ in pages._read(folder))


def test_there_is_a_page() -> None:
    assert "index.html" in _static()
    assert NAMES == ["/guard/", "/guard/static/{name:path}"]


@pytest.mark.parametrize("name", _static())
def test_every_file_says_what_it_is(live: Live, name: str) -> None:
    response = live.client.get(f"/guard/static/{name}")
    assert response.status_code == 200
    kind = response.headers["content-type"]
    assert kind.startswith(KINDS[name.rpartition(".")[2]])
    assert kind.endswith("charset=utf-8") or kind.startswith("image/")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_the_page_may_run_guards_own_scripts_and_nothing_else(live: Live) -> None:
    response = live.client.get("/guard/")
    assert response.headers["x-frame-options"] == "DENY"
    rules = dict(rule.strip().split(" ", 1) for rule in response.headers["content-security-policy"].split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|style=", response.text)


def test_a_file_is_sent_once(live: Live) -> None:
    first = live.client.get("/guard/")
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = live.client.get("/guard/", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    for other in ('"other"', tag.strip('"'), ""):
        assert live.client.get("/guard/", headers={"if-none-match": other}).status_code == 200


def test_a_file_that_changes_has_another_tag() -> None:
    request = Request({"type": "http", "headers": [(b"if-none-match", b'"old"')]})
    assert Page(content=b"x", type="text/html", tag='"old"').answer(request).status_code == 304
    assert Page(content=b"x", type="text/html", tag='"new"').answer(request).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "../pages.py",
        "..%2fpages.py",
        "%2e%2e/pages.py",
        "%2e%2e%2fpages.py",
        "....//pages.py",
        "..\\pages.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "./index.html",
        "index.html%00.js",
        "index.html/",
        "",
        "nope.js",
        "__init__.py",
    ],
)
def test_nothing_else_of_the_disk_can_be_had(live: Live, path: str) -> None:
    connection = HTTPConnection(live.url.removeprefix("http://"), timeout=10)  # it sends a path as it is
    connection.request("GET", f"/guard/static/{path}")
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == 404
    assert set(json.loads(body)) == {"error"}


def test_only_reading_is_possible(live: Live) -> None:
    assert live.client.post("/guard/static/main.js").status_code == 405
    assert live.client.head("/guard/").status_code == 200
    assert live.client.get("/guard", follow_redirects=False).headers["location"].endswith("/guard/")
