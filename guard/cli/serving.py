"""From the command line's words to a running server."""

from __future__ import annotations

import asyncio
import gc
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from guard import logs
from guard.errors import ConfigError
from guard.server.app import create_app
from guard.server.gateway import Gateway
from guard.settings import WORLD, Settings, built_in, read_settings, validated


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the command line says over the configuration file; None: nothing."""

    host: str | None = None
    port: int | None = None
    policy: str | None = None
    upstream: str | None = None
    model: str | None = None
    tokenizer: str | None = None
    reasoning: str | None = None
    supervisor: str | None = None
    supervisor_model: str | None = None
    facts: tuple[Path, ...] = ()
    store: str | None = None


def settings_for(config: Path | None, overrides: Overrides) -> Settings:
    """A file's settings, the built-in ones, or those of one upstream, with the overrides applied."""
    if overrides.upstream is None and (overrides.tokenizer or overrides.reasoning or overrides.model):
        raise ConfigError("--model, --tokenizer and --reasoning describe an upstream: name it with --upstream URL")
    if (overrides.supervisor is None) != (overrides.supervisor_model is None):
        raise ConfigError("--supervisor URL and --supervisor-model NAME go together: no client names that model")
    if config is not None and overrides.upstream is not None:
        raise ConfigError("give --config or --upstream, not both: name the upstream in the file's `models`")
    base = read_settings(config) if config is not None else _without_file(overrides)
    return _overridden(base, overrides)


def _without_file(overrides: Overrides) -> Settings:
    if overrides.upstream is None:
        return built_in()
    if overrides.model is None and overrides.tokenizer:
        raise ConfigError("--tokenizer is one model's: name that with --model")
    options = {"base_url": overrides.upstream}
    options |= {"model": overrides.model} if overrides.model else {}
    options |= {"tokenizer": overrides.tokenizer} if overrides.tokenizer else {}
    options |= {"reasoning": overrides.reasoning} if overrides.reasoning else {}
    entry = {"name": overrides.model or "*", "backend": "openai", "options": options}
    return validated({"models": [entry]}, "the command line")


def _overridden(base: Settings, overrides: Overrides) -> Settings:
    changes: dict[str, Any] = {}
    server = {name: value for name in ("host", "port") if (value := getattr(overrides, name)) is not None}
    if server:
        changes["server"] = base.server.model_dump() | server
    if overrides.policy is not None:
        changes["policies"] = base.policies.model_dump() | {"default": overrides.policy}
    if overrides.supervisor is not None:
        changes["supervisor"] = {"base_url": overrides.supervisor, "model": overrides.supervisor_model}
    if overrides.facts:
        changes["facts"] = overrides.facts
    if overrides.store is not None:
        changes["store"] = base.store.model_dump() | {"url": overrides.store}
    return validated(base.model_dump() | changes, "the command line")


def run(settings: Settings, log_format: str | None = None) -> None:
    """Serve until interrupted; `log_format` as `guard.logs.configure` has it. Raises GuardError if it cannot start."""
    logs.configure(log_format)
    app = create_app(settings)
    listening = listen(settings.server.host, settings.server.port)
    host, port = listening.getsockname()[:2]
    greeting = _greeting(settings, f"http://{f'[{host}]' if ':' in host else host}:{port}")
    # The lifespan is ours: an error at the start is then one line, not a framework's traceback.
    # So is the log: uvicorn would set up its own.
    config = uvicorn.Config(
        app, log_config=None, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=3
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(app.state.gateway, _Server(config, app.state.gateway), listening, greeting))


class _Server(uvicorn.Server):
    """Lets those who watch go before it waits for connections to end: they would stay."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down, watchers first."""
        self._gateway.live.close()
        await super().shutdown(sockets)


async def _serve(gateway: Gateway, server: uvicorn.Server, listening: socket.socket, greeting: str) -> None:
    try:
        await gateway.start()
        gc.collect()
        gc.freeze()  # what is loaded now stays; the collector need not look at it again
        print(greeting, flush=True)
        await server.serve(sockets=[listening])
    finally:
        await gateway.close()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from None
    return listening


def _names(settings: Settings) -> str:
    return ", ".join("every model of its upstream" if m.name == "*" else m.name for m in settings.models)


def _greeting(settings: Settings, url: str) -> str:
    name = "MODEL" if settings.models[0].name == "*" else settings.models[0].name
    first, lines = "Say hello.", [f"guard serves {_names(settings)} on {url}/v1"]
    if settings.models[0].options.get("model") == str(WORLD / "model"):
        from guard.world.measure import questions  # the built-in world is data that other servers need not read

        asked = [question.text for question in questions(6)]
        first = asked[0]
        lines += ["", "Ask the built-in model about people it never learned (it makes them up, and is corrected):"]
        lines += [f"  {text}" for text in asked[::2]]
        lines += ["or about people it knows:", *(f"  {text}" for text in asked[1::2])]
    message = f'{{"role": "user", "content": "{first}"}}'
    body = f'{{"model": "{name}", "stream": true, "temperature": 0, "messages": [{message}]}}'
    lines += ["", f"curl -N {url}/v1/chat/completions -H 'content-type: application/json' -d '{body}'"]
    lines += ["", f"dashboard  {url}/guard/", f"metrics    {url}/metrics"]
    return "\n".join(lines)
