"""Rules of the house that no linter knows: plug-ins are whole, the core is pure, importing is cheap."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guard import registry
from guard.backends import Backend, Options
from guard.checks import Check, Params
from guard.core.types import CHANNELS
from guard.exporters import Exporter

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "guard").rglob("*.py"))
PLUGINS = [(family, name) for family in ("checks", "backends", "exporters") for name in registry.names(family)]
IMPURE = {"asyncio", "time", "random", "logging", "os", "socket", "uuid", "datetime", "threading", "secrets", "io"}
HEAVY = ("torch", "transformers", "litellm", "outlines", "onnxruntime", "tokenizers", "openai", "psycopg")


def path_of(module: Path) -> str:
    return str(module.relative_to(ROOT))


@pytest.mark.parametrize(("family", "name"), PLUGINS)
def test_a_plugin_has_a_docstring_and_a_mirrored_test(family: Any, name: str) -> None:
    module = importlib.import_module(f"guard.{family}.{name}")
    assert (module.__doc__ or "").strip()
    tests = {path.stem for path in (ROOT / "tests" / family).glob("test_*.py")}
    assert any(test == f"test_{name}" or test.startswith(f"test_{name}_") for test in tests)


def _methods(protocol: type) -> list[str]:
    return [name for name, value in vars(protocol).items() if inspect.isfunction(value) and not name.startswith("_")]


@pytest.mark.parametrize("name", registry.names("checks"))
def test_a_check_has_the_shape_of_one(name: str) -> None:
    check = registry.plugin("checks", name)
    assert isinstance(check.version, str)
    assert isinstance(check.inline, bool)
    assert check.channels
    assert check.channels <= frozenset(CHANNELS)
    assert issubclass(check.Params, Params)
    assert check.Params.model_config["extra"] == "forbid"
    assert inspect.iscoroutinefunction(check.examine) is not check.inline
    for method in _methods(Check):
        assert list(inspect.signature(getattr(check, method)).parameters) == list(
            inspect.signature(getattr(Check, method)).parameters
        )


@pytest.mark.parametrize("name", registry.names("backends"))
def test_a_backend_has_the_shape_of_one(name: str) -> None:
    backend = registry.plugin("backends", name)
    assert issubclass(backend.Options, Options)
    assert backend.Options.model_config["extra"] == "forbid"
    for method in _methods(Backend):
        ours, theirs = getattr(backend, method), getattr(Backend, method)
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
        assert inspect.iscoroutinefunction(ours) is inspect.iscoroutinefunction(theirs)


@pytest.mark.parametrize("name", registry.names("exporters"))
def test_an_exporter_has_the_shape_of_one(name: str) -> None:
    exporter = registry.plugin("exporters", name)
    for method in _methods(Exporter):
        ours = list(inspect.signature(getattr(exporter, method)).parameters)
        assert ours == list(inspect.signature(getattr(Exporter, method)).parameters)[1:]


@pytest.mark.parametrize("module", MODULES, ids=path_of)
def test_every_module_says_what_it_is(module: Path) -> None:
    assert module.stem not in ("utils", "util", "common", "helpers", "helper", "misc")
    tree = ast.parse(module.read_text(encoding="utf-8"))
    assert (ast.get_docstring(tree) or "").strip() or not tree.body


def _imported(module: Path) -> set[str]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "module",
    [
        *sorted((ROOT / "guard" / "core").glob("*.py")),
        *sorted((ROOT / "guard" / "chat").glob("*.py")),
        *sorted((ROOT / "guard" / "server").glob("*wire.py")),
        *sorted((ROOT / "guard" / "server").glob("*request.py")),
        *sorted((ROOT / "guard" / "server").glob("responses_*.py")),
    ],
    ids=path_of,
)
def test_the_core_and_the_wire_are_pure(module: Path) -> None:
    assert not _imported(module) & IMPURE
    calls = [
        node.func for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    ]
    assert not {call.id for call in calls if isinstance(call, ast.Name)} & {
        "open",
        "print",
        "input",
        "__import__",
        "eval",
    }


@pytest.mark.parametrize(
    "code",
    [
        "import guard.server.app",
        "import guard.cli; import sys; sys.argv = ['guard', '--help']\ntry: guard.cli.main()\nexcept SystemExit: pass",
        "from guard.server.app import create_app; from guard.settings import Settings; "
        "create_app(Settings.model_validate({'models': [{'name': 'm', 'base_url': 'http://localhost/v1'}]}))",
        "import guard.backends.litellm; from guard import registry; "
        "registry.backend('litellm', {'model': 'anthropic/claude-sonnet-4-5'}, 'here')",
    ],
    ids=["the app", "--help", "an app with an upstream", "a backend that has not started"],
)
def test_nothing_heavy_is_loaded_before_it_is_named(code: str, tmp_path: Path) -> None:
    program = f"{code}\nimport sys\nprint('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "LOADED []"
