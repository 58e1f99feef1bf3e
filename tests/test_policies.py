"""The shipped policies: each loads, says what it is for, names only what exists, and does what its cases say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from guard import registry
from guard.checks import Resources
from guard.evaluation.cases import check_file

FILES = sorted((Path(__file__).parent.parent / "policies").glob("*.yaml"))


def guard_check(*files: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "guard", "check", *files]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_there_are_policies_and_the_registry_finds_them_all() -> None:
    assert FILES
    assert list(registry.shipped()) == [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_policy_loads_under_its_files_name(path: Path) -> None:
    policy = registry.read_policy(str(path))
    assert policy.name == path.stem
    assert {use.check for use in policy.checks} <= set(registry.names("checks"))
    registry.load_policy(policy, Resources())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_policys_intent_stands_at_its_head(path: Path) -> None:
    first, *_ = path.read_text(encoding="utf-8").splitlines()
    assert re.match(rf"# {path.stem.capitalize()}: \w+", first)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_policys_cases_hold(path: Path) -> None:
    said: list[str] = []
    assert registry.read_policy(str(path)).cases
    assert list(check_file(str(path), said.append)) == []
    assert said[0].startswith(f"{path.stem}: ok, ")


def test_guard_check_passes_the_shipped_policies() -> None:
    done = guard_check(*(path.stem for path in FILES))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(FILES)


def test_guard_check_says_what_is_wrong_in_a_line_each(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("name: p\nmode: on\n")
    case = "{name: missing, text: '1 + 1 = 2. So.', interrupted: ['1 + 1 = 2.']}"
    (tmp_path / "case.yaml").write_text(
        f"name: p\nwatch: {{reasoning: {{}}}}\nchecks: [{{check: arithmetic}}]\ncases: [{case}]\n"
    )
    (tmp_path / "guard.yaml").write_text("models: [{name: m, backend: scripted, answers: [], policy: nope}]\n")
    done = guard_check("nope", *(str(tmp_path / name) for name in ("wrong.yaml", "case.yaml", "guard.yaml")), "default")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("guard: ") for line in lines)
    assert "'nope'" in lines[0]
    assert "mode: " in lines[1]
    assert "case 'missing': interrupted [], not ['1 + 1 = 2.']" in lines[2]
    assert "'nope'" in lines[3]
    assert done.stdout.startswith("default: ok")


def test_guard_check_reads_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "guard.yaml"
    path.write_text("models: [{name: m, backend: scripted, answers: []}]\n")
    done = guard_check(str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 models, 5 policies" in done.stdout
    for text in ("models: []\n", "models: [{name: m, backend: nope}]\n", "models: [{name: m}]\n"):
        path.write_text(text)
        done = guard_check(str(path))
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1
