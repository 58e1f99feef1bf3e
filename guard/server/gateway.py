"""What a running server is made of: models, policies, the store, the counts. Built from settings, given to routes.

Knows no HTTP. A policy is loaded once, at the start, with its checks; a request only chooses among them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from guard import registry
from guard.backends import Backend, Forwarder
from guard.checks import Resources, Skippable
from guard.core.policy import Policy, Watch
from guard.errors import ConfigError, RequestError, StoreError
from guard.metrics import Metrics
from guard.registry import LoadedPolicy
from guard.server.counterfactuals import Counterfactuals
from guard.server.live import Hub
from guard.settings import BackendEntry, ModelEntry, Settings, SupervisorEntry
from guard.store import Store
from guard.store.people import redactors
from guard.supervisor import ModelSupervisor
from guard.tracing import tracing

log = logging.getLogger("guard")

Mode = Literal["supervise", "observe", "off"]
"""`supervise`: every request by its policy. The others override every policy at once."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model that can be asked."""

    entry: ModelEntry
    backend: Backend

    def upstream_name(self, asked: str) -> str:
        """What the upstream is asked for where its options name no model: the entry's name, whatever alias was used."""
        return asked if self.entry.name == "*" else self.entry.name


class Gateway:
    """Everything that requests share.

    Raises ConfigError for settings that contradict themselves; `start` connects and loads.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(settings.metrics.buckets_s)
        self.tracing = tracing(settings.tracing.otlp)
        self.store = Store(
            settings.store.url, redactor=redactors(settings.store), waiting=self.metrics.store_waiting.inc
        )
        self.counterfactuals = Counterfactuals(self.store, self.metrics)
        self.live = Hub()
        self.mode: Mode = "supervise"
        self.models = {entry.name: _served(entry, settings) for entry in settings.models}
        self.known = {name: entry.name for entry in settings.models for name in (entry.name, *entry.aliases)}
        """Names and aliases -> names."""
        self.supervisor = None if settings.supervisor is None else _supervisor(settings.supervisor, settings)
        resources = Resources(facts=settings.facts, supervisor=self.supervisor)
        self.policies = {policy.name: registry.load_policy(policy, resources) for policy in _policies(settings)}
        self.default = registry.read_policy(settings.policies.default).name
        self._aliases = {name: registry.read_policy(name).name for name in _named(settings)}
        self._aliases[self.default] = self.default
        self._allowed = {self._aliases[name] for name in settings.policies.allowed} | {self.default}
        self.client_keys = _client_keys(settings)
        self.admin_key = os.environ.get(settings.server.admin_key_env, "").strip() or None
        self._purger: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the store, close what a crash left open, load the models."""
        await self.store.open()
        await self.store.recover()
        for served in self.models.values():
            await served.backend.start()
        if self.supervisor is not None:
            await self.supervisor.start()
        self._purger = asyncio.create_task(self._purge_daily())

    async def close(self) -> None:
        """Let go of everything."""
        if self._purger is not None:
            self._purger.cancel()
        self.live.close()
        await self.counterfactuals.close()
        for served in self.models.values():
            await served.backend.close()
        if self.supervisor is not None:
            await self.supervisor.close()
        await self.store.close()
        if self.tracing is not None:
            await self.tracing.close()

    async def _purge_daily(self) -> None:
        days = self.settings.store.retention_days
        while days:
            try:
                await self.store.purge(time.time() - days * 86400)
            except StoreError as error:
                log.warning("old records could not be deleted: %s", error)
            await asyncio.sleep(86400)

    def model(self, name: str) -> Served:
        """The model of this name or alias, else the one that takes every name, else the default.

        Raises RequestError 404.
        """
        for known in (name, "*", self.settings.default_model):
            if known is not None and known in self.known:
                return self.models[self.known[known]]
        raise RequestError(
            f"the model {name!r} does not exist; there are {', '.join(self.known)}",
            status=404,
            param="model",
            code="model_not_found",
        )

    async def model_list(self, headers: Mapping[str, str]) -> list[dict[str, Any]]:
        """What `/v1/models` lists: names and aliases, and for `*` what its upstream lists."""
        listed = [
            {"id": name, "object": "model", "created": 0, "owned_by": "guard"} for name in self.known if name != "*"
        ]
        if "*" in self.models and isinstance(backend := self.models["*"].backend, Forwarder):
            theirs = [entry for entry in await backend.models(headers) if isinstance(entry.get("id"), str)]
            listed += [dict(entry) for entry in theirs if entry["id"] not in self.known]
        return listed

    def policy(self, name: str | None, entry: ModelEntry) -> LoadedPolicy:
        """The policy a request asked for, else the model's, else the default; under the mode in force.

        Raises RequestError for one that requests may not name: it is neither `allowed` nor the default nor the model's.
        """
        own = entry.policy or self.default
        wanted = name or own
        key = self._aliases.get(wanted, wanted)
        open_ = self._allowed | {self._aliases[own]}
        if key not in open_:
            raise RequestError(
                f"the policy {wanted!r} is not served here; there are {', '.join(sorted(open_))}",
                param="policy",
                code="policy_not_found",
            )
        return _under(self.mode, self.policies[key])

    async def ready(self) -> Mapping[str, Any]:
        """What /readyz says: whether requests can be served, part by part.

        A supervisor that is not ready leaves segments unscanned, which each policy has its own answer to: it is told,
        and takes no server out of service. `skipped` names a policy's checks that lack what they need.
        """
        try:
            await self.store.ping()
            store: dict[str, Any] = {"ok": True}
        except StoreError as error:
            store = {"ok": False, "error": str(error)}
        models = {name: await served.backend.ready() for name, served in self.models.items()}
        ok = store["ok"] and all(model["ok"] for model in models.values())
        told = {"ok": ok, "mode": self.mode, "store": store, "models": models}
        if self.supervisor is not None:
            told["supervisor"] = await self.supervisor.ready()
        return told | {"policies": {name: _shown(loaded) for name, loaded in self.policies.items()}}


def _shown(loaded: LoadedPolicy) -> dict[str, Any]:
    skips = {name: check.skipped for name, check in loaded.checks.items() if isinstance(check, Skippable)}
    skipped = {name: why for name, why in skips.items() if why}
    shown = {"hash": loaded.hash[:12], "mode": loaded.policy.mode}
    return shown | ({"skipped": skipped} if skipped else {})


def _served(entry: ModelEntry, settings: Settings) -> Served:
    return Served(entry, _backend(entry, settings, f"model {entry.name!r}"))


def _supervisor(entry: SupervisorEntry, settings: Settings) -> ModelSupervisor:
    named = entry.options.get("model")
    if named is None and "model" in registry.plugin("backends", entry.backend).Options.model_fields:
        raise ConfigError("supervisor: no client names its model, so `model` must be given")
    backend = _backend(entry, settings, "supervisor")
    return ModelSupervisor(backend, model=str(named or "supervisor"), at_once=entry.at_once, fields=entry.request)


def _backend(entry: BackendEntry, settings: Settings, where: str) -> Backend:
    options = dict(entry.options)
    if "timeouts" in registry.plugin("backends", entry.backend).Options.model_fields:
        own = options.get("timeouts", {})
        told = settings.timeouts.model_dump(exclude_unset=True)
        options["timeouts"] = {**told, **own} if isinstance(own, Mapping) else own
    return registry.backend(entry.backend, options, where)


def _named(settings: Settings) -> list[str]:
    of_models = [entry.policy for entry in settings.models if entry.policy]
    return list(dict.fromkeys([settings.policies.default, *settings.policies.allowed, *of_models]))


def _policies(settings: Settings) -> list[Policy]:
    policies: dict[str, Policy] = {}
    for source in _named(settings):
        policy = registry.read_policy(source)
        if policies.setdefault(policy.name, policy) != policy:
            raise ConfigError(f"policy {source!r}: another policy is named {policy.name!r} too; give it its own `name`")
    return list(policies.values())


def _under(mode: Mode, loaded: LoadedPolicy) -> LoadedPolicy:
    policy = loaded.policy
    if mode == "supervise" or policy.mode == "off":
        return loaded
    if mode == "off":
        return replace(loaded, policy=policy.model_copy(update={"mode": "off"}))
    watch = {channel: Watch(release="immediate", unit=w.unit) for channel, w in policy.watch.items()}
    return replace(loaded, policy=policy.model_copy(update={"mode": "observe", "watch": watch}))


def _client_keys(settings: Settings) -> frozenset[str] | None:
    path = settings.server.client_keys_file
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"client_keys_file {str(path)!r} cannot be read: {error.strerror}") from None
    keys = frozenset(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    if not keys:
        raise ConfigError(f"client_keys_file {str(path)!r} holds no key; put one on each line")
    return keys
