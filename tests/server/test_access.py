"""Who may come in: the log and the switch on loopback only or with a key, and no page of another origin."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from guard.errors import ConfigError
from guard.server.app import create_app
from guard.server.http import is_loopback
from tests.server.live import Live, serving, settings

PAGES = ["/guard/", "/guard/static/main.js"]
CLOSED = [
    "/guard/api/state",
    "/guard/api/interruptions",
    "/guard/api/interruptions/x",
    "/guard/api/live",
    "/guard/api/export",
    "/guard/api/nope",
    "/guard/static",
    "/guard/nope",
    "/guard//api/state",
]
GUARDED = [*PAGES, *CLOSED]


async def _ask(app: ASGIApp, path: str, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8900") as client:
        return await client.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8900", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "", "[::2]"],
)
def test_a_name_that_only_resolves_to_loopback_is_refused(live: Live, path: str, host: str) -> None:
    response = live.client.get(path, headers={"host": host})
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "loopback_only"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8900", "localhost", "LOCALHOST:1", "[::1]:8900", "[::1]"])
def test_loopback_names_are_let_in(live: Live, host: str) -> None:
    assert live.client.get("/guard/", headers={"host": host}).status_code == 200


def test_the_switch_cannot_be_thrown_by_another_sites_form(live: Live) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        response = live.client.post("/guard/api/mode", content=b'{"mode":"off"}', headers={"content-type": kind})
        assert response.status_code in (400, 415)
    assert (
        live.client.post("/guard/api/mode", json={"mode": "off"}, headers={"host": "evil.example"}).status_code == 403
    )
    assert live.gateway.mode == "supervise"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "::", "guard.example"])
async def test_beyond_loopback_the_log_needs_a_key(tmp_path: Path, host: str) -> None:
    app = create_app(settings(tmp_path, server={"host": host}))
    for path in (*GUARDED, "/guard", "/guard/nope"):
        response = await _ask(app, path)
        assert response.status_code == 403
    assert (await _ask(app, "/healthz")).status_code == 200


def test_the_admin_key_opens_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_ADMIN_KEY", " secret \n")
    made = settings(tmp_path, server={"host": "0.0.0.0", "admin_key_env": "MY_ADMIN_KEY"})
    with serving(made) as live:
        for path in CLOSED:
            for headers in (
                {},
                {"authorization": "Bearer wrong"},
                {"x-guard-admin-key": ""},
                {"authorization": "secret"},
            ):
                response = live.client.get(path, headers=headers)
                assert response.status_code == 401
                assert response.json()["error"]["type"] == "authentication_error"
        evil, key = {"host": "evil.example"}, {"authorization": "Bearer secret"}
        assert live.client.get("/guard/api/state", headers=key | evil).status_code == 200
        assert live.client.get("/guard/api/state", headers={"x-guard-admin-key": "secret"}).status_code == 200
        assert live.client.post("/guard/api/mode", json={"mode": "off"}, headers=key).json() == {"mode": "off"}
        assert live.client.post("/guard/api/mode", json={"mode": "observe"}).status_code == 401
        assert live.client.get("/v1/models").status_code == 200  # not the admin's
        for path in PAGES:  # they hold no data and ask for the key
            assert live.client.get(path, headers=evil).status_code == 200


# Other sites' pages


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:{port}",
        "http://127.0.0.1:{port}.evil.example",
        "file://127.0.0.1:{port}",
        "null",
        "",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_page_of_another_origin_is_refused(live: Live, origin: str, method: str) -> None:
    port = live.url.rpartition(":")[2]
    headers = {"origin": origin.format(port=port)}
    response = live.client.request(method, "/guard/api/mode", json={"mode": "off"}, headers=headers)
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "foreign_origin"
    assert live.gateway.mode == "supervise"
    assert live.client.get("/guard/", headers=headers).status_code == 200  # a link from there is followed


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_sites_page_asks_without_an_origin_is_refused(live: Live, site: str) -> None:
    headers = {"sec-fetch-site": site}  # an image, a script, a link: browsers send no Origin with those
    for path in CLOSED:
        response = live.client.get(path, headers=headers)
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "foreign_origin"
    assert live.client.get("/guard/", headers=headers).status_code == 200
    for own in ("same-origin", "none"):
        assert live.client.get("/guard/api/state", headers={"sec-fetch-site": own}).status_code == 200


@pytest.mark.parametrize("name", ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"])
def test_a_proxy_on_this_machine_does_not_open_the_log(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    headers = {name: "for=192.0.2.1"}
    for path in GUARDED:
        response = live.client.get(path, headers=headers)
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "loopback_only"
    monkeypatch.setenv("GUARD_ADMIN_KEY", "secret")
    with serving(settings(tmp_path)) as keyed:
        key = {"authorization": "Bearer secret"}
        assert keyed.client.get("/guard/api/state", headers=headers | key).status_code == 200


async def test_it_is_as_closed_below_another_applications_path(tmp_path: Path) -> None:
    app = create_app(settings(tmp_path, server={"host": "0.0.0.0"}))
    for path in GUARDED:
        assert (await _ask(Starlette(routes=[Mount("/below", app=app)]), f"/below{path}")).status_code == 403
        transport = httpx.ASGITransport(app, root_path="/below")  # as a server that knows its proxy's path
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            assert (await client.get(f"/below{path}")).status_code == 403
        part = httpx.ASGITransport(app, root_path="/gu")  # the beginning of a name is no place to be mounted at
        async with httpx.AsyncClient(transport=part, base_url="http://127.0.0.1") as client:
            assert (await client.get(path)).status_code == 403


def test_guards_own_page_is_let_in(live: Live) -> None:
    for origin in (live.url, live.url.replace("http://", "https://"), live.url.upper()):
        sent = live.client.post("/guard/api/mode", json={"mode": "supervise"}, headers={"origin": origin})
        assert sent.status_code == 200
    behind = {"host": "LOCALHOST", "origin": "https://localhost"}  # a proxy that speaks TLS
    assert live.client.get("/guard/api/state", headers=behind).status_code == 200


def test_the_key_does_not_let_another_origin_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_ADMIN_KEY", "secret")
    with serving(settings(tmp_path, server={"cors": ["https://app.example"]})) as live:
        headers = {"authorization": "Bearer secret", "origin": "https://app.example"}
        assert live.client.get("/guard/api/state", headers=headers).status_code == 403
        assert live.client.get("/v1/models", headers=headers).status_code == 200
        del headers["origin"]
        assert live.client.get("/guard/api/state", headers=headers).status_code == 200


def test_nothing_of_the_log_is_kept_by_a_cache(live: Live) -> None:
    for path in ("state", "facets", "interruptions", "queue?reviewer=ann", "quality", "agreement", "trends", "export"):
        response = live.client.get(f"/guard/api/{path}")
        assert response.status_code == 200, response.text
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"


def test_there_is_no_cors_unless_configured(live: Live, tmp_path: Path) -> None:
    ask = {"origin": "https://app.example", "access-control-request-method": "POST"}
    for path in ("/v1/chat/completions", "/guard/api/mode"):
        response = live.client.options(path, headers=ask)
        assert not [name for name in response.headers if name.startswith("access-control")]
    assert "access-control-allow-origin" not in live.client.get("/v1/models", headers=ask).headers
    with serving(settings(tmp_path, server={"cors": ["https://app.example"]})) as open_:
        response = open_.client.options("/v1/chat/completions", headers=ask)
        assert response.headers["access-control-allow-origin"] == "https://app.example"
        response = open_.client.get("/v1/models", headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("content", [None, "", "# only a comment\n\n"])
def test_a_keys_file_that_locks_nobody_out_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match="client_keys_file"):
        create_app(settings(tmp_path, server={"client_keys_file": path}))


def test_what_loopback_is() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost"]))
    assert not any(map(is_loopback, ["", "0.0.0.0", "::", "example", "127.0.0.1.example", "127.0.0.1 "]))
