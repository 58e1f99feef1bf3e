"""Who writes and who reviews, from settings: the entries of guard.yaml's `models` and its `supervisor`.

Nothing is started here. What tells a model from another (`about`) holds no secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guard import registry
from guard.backends import Backend
from guard.errors import ConfigError
from guard.settings import BackendEntry, ModelEntry, Settings
from guard.train.transcripts.caller import Caller
from guard.train.transcripts.generator import Retrieval

_UNTOLD = ("api_key", "api_key_env", "headers", "timeouts", "verify")
"""Options that a transcript does not hang on, or that are nobody's business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A model that can be asked, and all that is to be known of it."""

    caller: Caller
    about: Mapping[str, Any]
    retrieval: Retrieval


def generator(settings: Settings, name: str | None, at_once: int) -> Named:
    """The model of that name or alias, else the first. Raises ConfigError."""
    found = [entry for entry in settings.models if name is None or name in (entry.name, *entry.aliases)]
    if not found:
        there = ", ".join(entry.name for entry in settings.models)
        raise ConfigError(f"--model {name!r} is none of the models of the configuration: {there}")
    return _generator(found[0], settings, at_once)


def _generator(entry: ModelEntry, settings: Settings, at_once: int) -> Named:
    if entry.name == "*" and entry.options.get("model") is None:
        raise ConfigError("the configuration serves every name ('*'): add an entry for the model that is to write")
    backend = _backend(entry, settings, f"model {entry.name!r}")
    caller = Caller(backend, model=entry.name, at_once=at_once)
    # The one backend that calls no tools.
    return Named(
        caller=caller,
        about=_about(entry, entry.name),
        retrieval="notes" if entry.backend == "transformers" else "calls",
    )


def reviewer(settings: Settings) -> Named | None:
    """The supervisor, or None where there is none. Raises ConfigError."""
    entry = settings.supervisor
    if entry is None:
        return None
    named = entry.options.get("model")
    if named is None and "model" in registry.plugin("backends", entry.backend).Options.model_fields:
        raise ConfigError("supervisor: no client names its model, so `model` must be given")
    backend = _backend(entry, settings, "supervisor")
    caller = Caller(backend, model=str(named or "supervisor"), at_once=entry.at_once, fields=entry.request)
    return Named(caller=caller, about={**_about(entry, named), "request": dict(entry.request)}, retrieval="calls")


def _backend(entry: BackendEntry, settings: Settings, where: str) -> Backend:
    options = dict(entry.options)
    if "timeouts" in registry.plugin("backends", entry.backend).Options.model_fields:
        own = options.get("timeouts", {})
        told = settings.timeouts.model_dump(exclude_unset=True)
        options["timeouts"] = {**told, **own} if isinstance(own, Mapping) else own
    return registry.backend(entry.backend, options, where)


def _about(entry: BackendEntry, name: str | None) -> dict[str, Any]:
    options = {key: value for key, value in entry.options.items() if key not in _UNTOLD}
    return {"backend": entry.backend, "name": name, "options": options}
