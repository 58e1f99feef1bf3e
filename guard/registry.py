"""Name -> plug-in, name -> policy: the only place that loads either.

A plug-in is the module of that name in its family's package, else an entry point in the group `guard.<family>`.
Nothing is imported before something names it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from guard.backends import Backend
from guard.checks import Check, Resources
from guard.core.config import CheckSpec
from guard.core.policy import Policy
from guard.core.use import CheckUse
from guard.errors import ConfigError, PolicyError, UnknownPlugin
from guard.exporters import Exporter

Family = Literal["checks", "backends", "exporters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPolicy:
    """A policy with its checks, ready to serve.

    `hash` is the SHA-256 of the policy's content, whatever its file looks like, calibrations and fusion included;
    `specs` is what a session must know; `params` has the SHA-256 of each check's parameters.
    """

    policy: Policy
    checks: Mapping[str, Check]
    specs: Sequence[CheckSpec]
    hash: str
    params: Mapping[str, str]


def plugin(family: Family, name: str) -> Any:
    """The plug-in of this name. Raises UnknownPlugin (naming those there are) or MissingExtra."""
    module = f"guard.{family}.{name}"
    if name.isidentifier() and not name.startswith("_") and importlib.util.find_spec(module) is not None:
        return importlib.import_module(module).plugin
    for point in entry_points(group=f"guard.{family}", name=name):
        return point.load()
    raise UnknownPlugin(f"there is no {family.removesuffix('s')} {name!r}; there are {', '.join(names(family))}")


def names(family: Family) -> list[str]:
    """The names of a family's plug-ins, sorted."""
    package = importlib.import_module(f"guard.{family}")
    own = {module.name for module in pkgutil.iter_modules(package.__path__)}
    return sorted(own | {point.name for point in entry_points(group=f"guard.{family}")})


def backend(name: str, options: Mapping[str, Any], where: str) -> Backend:
    """A backend with its options validated; `where` names the place in the configuration for errors."""
    cls = plugin("backends", name)
    try:
        built: Backend = cls(cls.Options.model_validate(dict(options)))
    except ValidationError as error:
        secret = cls.Options.model_config.get("hide_input_in_errors", False)
        raise ConfigError(f"{where}: {first_error(error, show=not secret)}") from None
    return built


def exporter(name: str) -> Exporter:
    """An exporter."""
    found: Exporter = plugin("exporters", name)
    return found


# Policies


def shipped() -> dict[str, Path]:
    """The policy files that come with guard, by name."""
    package = Path(__file__).parent
    folder = next((f for f in (package / "policies", package.parent / "policies") if f.is_dir()), package)
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_policy(name_or_file: str) -> Policy:
    """A policy by the name of a shipped one, or from a file. Raises PolicyError, one line."""
    path = shipped().get(name_or_file) or Path(name_or_file)
    if not path.is_file():
        raise PolicyError(f"there is no policy {name_or_file!r}; shipped are {', '.join(shipped())}, or name a file")
    try:
        return Policy.model_validate(_whole(yaml.safe_load(path.read_text(encoding="utf-8")), path))
    except ValidationError as error:
        raise PolicyError(f"policy {str(path)!r}: {first_error(error)}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise PolicyError(f"policy {str(path)!r} cannot be read: {' '.join(str(error).split())}") from None


def _whole(document: Any, path: Path) -> Any:
    """A policy file's content with the files it names in their places: calibrations, and the fusion."""
    if not isinstance(document, dict):
        return document
    checks = document.get("checks")
    if isinstance(checks, list):
        document |= {"checks": [_measured(entry, "calibration", path) for entry in checks]}
    return _measured(document, "fusion", path)


def _measured(entry: Any, field: str, path: Path) -> Any:
    """An entry of the policy file at `path`, with the JSON document for the name of its file."""
    if not isinstance(entry, dict) or not isinstance(entry.get(field), str):
        return entry
    named = path.parent / entry[field]
    try:
        return entry | {field: json.loads(named.read_text(encoding="utf-8"))}
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else f"it is no JSON ({' '.join(str(error).split())})"
        raise PolicyError(f"policy {str(path)!r}: {field} {entry[field]!r} cannot be read: {said}") from None


def load_policy(policy: Policy, resources: Resources) -> LoadedPolicy:
    """Build a policy's checks and hold it to what only the checks can tell. Raises ConfigError or PolicyError."""
    checks = {use.check: _check(policy, use, resources) for use in policy.checks}
    specs = [
        CheckSpec(name=name, version=check.version, inline=check.inline, channels=frozenset(check.channels))
        for name, check in checks.items()
    ]
    _holds_long_enough(policy, specs)
    _of_these_versions(policy, specs)
    try:
        content = json.dumps(policy.model_dump(mode="json"), sort_keys=True)
    except (ValueError, RecursionError):  # what files bring can be nested beyond what pydantic writes
        raise PolicyError(
            f"policy {policy.name!r}: a value in it, or in a file that it names, is nested too deep"
        ) from None
    params = {
        use.check: _digest(json.dumps(use.model_dump(mode="json")["params"], sort_keys=True)) for use in policy.checks
    }
    return LoadedPolicy(policy=policy, checks=checks, specs=specs, hash=_digest(content), params=params)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _check(policy: Policy, use: CheckUse, resources: Resources) -> Check:
    cls = plugin("checks", use.check)
    try:
        built: Check = cls(cls.Params.model_validate(dict(use.params)), resources)
    except ValidationError as error:
        raise PolicyError(f"policy {policy.name!r}, check {use.check!r}: {first_error(error)}") from None
    return built


def _holds_long_enough(policy: Policy, specs: Sequence[CheckSpec]) -> None:
    """A hold shorter than a deadline would release text before a check that is still in time has answered."""
    for channel, watch in policy.watch.items():
        for spec in specs:
            use = policy.use(spec.name)
            applies = channel in (spec.channels if use.channels is None else use.channels)
            if watch.release == "checked" and applies and not spec.inline and use.deadline_ms > watch.max_hold_ms:
                raise PolicyError(
                    f"policy {policy.name!r}: {channel}.max_hold_ms {watch.max_hold_ms!r} is shorter than check "
                    f"{spec.name!r}'s deadline_ms {use.deadline_ms!r}; raise the one or lower the other"
                )


def _of_these_versions(policy: Policy, specs: Sequence[CheckSpec]) -> None:
    """Scores of another version of a check mean something else than what was measured."""
    weighed = policy.fusion.checks if policy.fusion is not None else {}
    for spec in specs:
        calibration = policy.use(spec.name).calibration
        for what, measured in (("calibration", calibration), ("fusion", weighed.get(spec.name))):
            if measured is not None and measured.check_version != spec.version:
                again = "--calibrate" if what == "calibration" else "--calibrate --fuse"
                raise PolicyError(
                    f"policy {policy.name!r}: its {what} was measured with version {measured.check_version!r} of check "
                    f"{spec.name!r}, which is now {spec.version!r}; run `guard eval {again}` again"
                )


def first_error(error: ValidationError, *, show: bool = True) -> str:
    """The first thing pydantic found, on one line: where, what, and the value unless it may be a secret."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    untold = ("missing", "value_error", "extra_forbidden")  # what stands where nothing may stand could be anything
    value = "" if not show or first["type"] in untold else f" (got {first['input']!r})"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}{value}"
