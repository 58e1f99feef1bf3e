"""The policy that `guard eval` measures, and the models that its checks may ask: the words mean what `serve` means.

Nothing is started here. The differences from a server: facts are those that are named (the built-in world has no part
in a measurement), only the measured policy is loaded, and of a configuration's models none is asked unless it is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from guard import registry
from guard.checks import Resources
from guard.cli.serving import Overrides, settings_for
from guard.errors import ConfigError
from guard.evaluation.asking import Models
from guard.registry import LoadedPolicy
from guard.server.gateway import Gateway, Served
from guard.settings import ModelEntry, Policies, ServerSettings, Settings, StoreSettings

AT_ONCE = 4
"""Rows that play beside each other where a model may be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says of models; None: nothing."""

    config: Path | None = None
    upstream: str | None = None
    model: str | None = None
    supervisor: str | None = None
    supervisor_model: str | None = None
    at_once: int | None = None

    @property
    def nobody(self) -> bool:
        """Whether it names neither a model nor a file that may."""
        return not (self.config or self.upstream or self.model or self.supervisor or self.supervisor_model)


def policy_and_models(policy: str | None, facts: Sequence[Path], asked: Asked) -> tuple[LoadedPolicy, Models | None]:
    """The policy with its checks, and whom they may ask. Raises ConfigError or PolicyError."""
    if asked.nobody:
        return registry.load_policy(registry.read_policy(policy or "default"), Resources(facts=tuple(facts))), None
    settings = _settings(policy, facts, asked)
    gateway = Gateway(settings)
    served = next(iter(gateway.models.values()), None)
    if served is None and gateway.supervisor is None:
        return gateway.policies[gateway.default], None
    models = Models(
        supervisor=gateway.supervisor,
        policy_model=None if served is None else served.backend,
        name=_name(served),
        at_once=asked.at_once or AT_ONCE,
    )
    return gateway.policies[gateway.default], models


def _settings(policy: str | None, facts: Sequence[Path], asked: Asked) -> Settings:
    if asked.upstream is not None and asked.model is None:
        raise ConfigError("--upstream URL and --model NAME go together: no client names that model")
    if asked.model is not None and asked.upstream is None and asked.config is None:
        raise ConfigError("--model names a model of --upstream URL, or of the file of --config")
    # Settings without a model are none: where only a supervisor is named its server stands in, and is left out below.
    upstream = asked.upstream or (None if asked.config else asked.supervisor)
    overrides = Overrides(
        policy=policy,
        upstream=upstream,
        model=asked.model if asked.upstream else None,
        supervisor=asked.supervisor,
        supervisor_model=asked.supervisor_model,
        facts=tuple(facts),
    )
    settings = settings_for(asked.config, overrides)
    return settings.model_copy(
        update={
            "models": _asked_again(settings, asked),
            "policies": Policies(default=settings.policies.default, allowed=()),
            "store": StoreSettings(url="sqlite:///:memory:"),
            "server": ServerSettings(),
        }
    )


def _asked_again(settings: Settings, asked: Asked) -> tuple[ModelEntry, ...]:
    """The one that is asked how a text might go on, or none."""
    if asked.model is None:
        return ()
    found = [entry for entry in settings.models if asked.model in (entry.name, *entry.aliases)]
    if not found:
        there = ", ".join(entry.name for entry in settings.models)
        raise ConfigError(f"--model {asked.model!r} is none of the models in {str(asked.config)!r}: {there}")
    return (found[0].model_copy(update={"policy": None}),)


def _name(served: Served | None) -> str:
    return served.upstream_name(served.entry.name) if served is not None else ""
