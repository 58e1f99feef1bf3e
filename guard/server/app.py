"""The composition root: settings in, a FastAPI application out. Importing it builds nothing and loads no model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from guard import __version__
from guard.errors import GuardError, RequestError
from guard.server import console, pages, wire
from guard.server.chat import chat
from guard.server.completions import completions
from guard.server.endpoint import Endpoint
from guard.server.exchange import passing
from guard.server.forward import FORWARDED, pass_on
from guard.server.gateway import Gateway
from guard.server.http import AdminOnly, headers_of, require_client_key
from guard.server.responses import responses
from guard.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The server. Raises ConfigError for settings that cannot be served."""
    gateway = Gateway(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            await gateway.start()
            yield
        finally:
            await gateway.close()

    app = FastAPI(
        title="guard", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.gateway = gateway
    app.router.routes.append(Route("/v1/chat/completions", Endpoint(gateway, chat), methods=["POST"]))
    app.router.routes.append(Route("/v1/completions", Endpoint(gateway, completions), methods=["POST"]))
    app.router.routes.append(Route("/v1/responses", Endpoint(gateway, responses), methods=["POST"]))
    _add_routes(app, gateway)
    app.include_router(console.router(gateway))
    app.router.routes.extend(pages.routes())
    app.router.routes.append(Route("/v1/{path:path}", Endpoint(gateway, pass_on), methods=FORWARDED))
    _add_error_bodies(app)
    app.add_middleware(AdminOnly, key=gateway.admin_key, host=settings.server.host)
    if settings.server.cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(settings.server.cors), allow_methods=["*"], allow_headers=["*"]
        )
    return app


def _add_routes(app: FastAPI, gateway: Gateway) -> None:
    async def listed(request: Request) -> list[dict[str, Any]]:
        headers = headers_of(request.scope)
        require_client_key(headers, gateway.client_keys)
        return await gateway.model_list(passing(headers, gateway.client_keys is not None))

    @app.get("/v1/models")
    async def models(request: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": await listed(request)})

    @app.get("/v1/models/{name:path}")
    async def model(request: Request, name: str) -> JSONResponse:
        found = next((entry for entry in await listed(request) if entry["id"] == name), None)
        if found is None:
            raise RequestError(f"the model {name!r} does not exist", status=404, param="model", code="model_not_found")
        return JSONResponse(found)

    @app.get("/healthz")
    async def alive() -> JSONResponse:
        return JSONResponse({"ok": True})

    @app.get("/readyz")
    async def ready() -> JSONResponse:
        state = await gateway.ready()
        return JSONResponse(dict(state), status_code=200 if state["ok"] else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(gateway.metrics.collected()), media_type=CONTENT_TYPE_LATEST)


def _add_error_bodies(app: FastAPI) -> None:
    """Every error of every route is an OpenAI error object."""

    @app.exception_handler(RequestError)
    async def request_error(request: Request, error: RequestError) -> JSONResponse:
        kind = "authentication_error" if error.status == 401 else "invalid_request_error"
        body = wire.error_body(str(error), kind=kind, param=error.param, code=error.code)
        return JSONResponse(body, status_code=error.status)

    @app.exception_handler(GuardError)
    async def guard_error(request: Request, error: GuardError) -> JSONResponse:
        body = wire.error_body(str(error), kind="server_error", code=type(error).__name__)
        return JSONResponse(body, status_code=500)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        body = wire.error_body("guard failed; its log says how", kind="server_error", code="internal_error")
        return JSONResponse(body, status_code=500)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = () if first["type"] == "json_invalid" else first["loc"][1:]  # not the place in a text that is no JSON
        name = ".".join(map(str, where)) or str(first["loc"][0])  # the first says where it stood
        return JSONResponse(wire.error_body(f"{name}: {first['msg']}", param=name), status_code=400)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path}: {error.detail}"
        body = wire.error_body(message, code=str(error.status_code))
        return JSONResponse(body, status_code=error.status_code, headers=error.headers)
