"""`guard eval --calibrate` as a command: what it writes is what a policy beside it loads and acts on."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from guard import registry
from guard.checks import Resources

POLICY = """
name: own
watch: {content: {release: checked}}
checks:
- {check: phrase, phrases: [{text: maybe, score: 0.7}], flag_at: null, interrupt_at: null}
- {check: arithmetic, flag_at: null, interrupt_at: null}
"""
ROWS = [
    ("So 3 + 4 = 8 came.", True),
    ("So 3 + 4 = 7 came.", False),
    ("Perhaps and maybe 2 + 2 = 5 it is.", True),
    ("It maybe is so, on a fine and long day.", False),
]


def guard(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "guard", "eval", "grounded", *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    made: list[dict[str, Any]] = [
        {
            "id": f"{n}-{at}",
            "context": f"c{n}",
            "response": text,
            "hallucinated": wrong,
            "spans": [{"start": 0, "end": len(text)}] if wrong else [],
        }
        for n in range(6)
        for at, (text, wrong) in enumerate(ROWS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


def interruptions(rows: Path, policy: Path) -> tuple[int, int]:
    done = guard(rows, "--policy", policy, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    counts = json.loads(done.stdout)["files"][0]["counts"]
    return counts["interruptions_right"], counts["interruptions_false"]


def test_weights_are_written_and_a_policy_beside_them_acts_on_them(rows: Path, tmp_path: Path) -> None:
    policy, out = tmp_path / "own.yaml", tmp_path / "fused.json"
    policy.write_text(POLICY)
    assert interruptions(rows, policy) == (0, 0)
    done = guard(
        rows, "--policy", policy, "--json", "--calibrate", out, "--fuse", "--budget", "0", "--base-rate", "0.3"
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(out.read_text())
    assert {name: each["check_version"] for name, each in found["checks"].items()} == {
        name: registry.plugin("checks", name).version for name in ("arithmetic", "phrase")
    }
    about = found["about"]
    assert about["data"] == [{"file": rows.name, "sha256": sha256(rows.read_bytes()).hexdigest(), "rows": 24}]
    assert (about["base_rate"], about["budget"], about["seed"], about["shape"]) == (0.3, 0.0, 0, "grounded")
    assert about["metrics"]["auroc"]["fused"] > about["metrics"]["auroc"]["phrase"]
    policy.write_text(POLICY + "fusion: fused.json\n")
    assert registry.load_policy(registry.read_policy(str(policy)), Resources()).policy.fusion
    assert interruptions(rows, policy) == (12, 0)


def test_a_calibration_is_written_loaded_and_then_not_measured_again(rows: Path, tmp_path: Path) -> None:
    policy = tmp_path / "own.yaml"
    one = "name: own\nwatch: {content: {}}\nchecks: [{check: arithmetic}]\n"
    policy.write_text(one)
    assert guard(rows, "--policy", policy, "--calibrate", tmp_path / "c.json", "--budget", "0").returncode == 0
    policy.write_text(one.replace("{check: arithmetic}", "{check: arithmetic, calibration: c.json}"))
    assert interruptions(rows, policy) == (12, 0)
    done = guard(rows, "--policy", policy, "--calibrate", tmp_path / "again.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "take the calibration of 'arithmetic' out first" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--calibrate", "OUT"], "arithmetic, phrase did; choose with --policy or weigh them together with --fuse"),
        (["--fuse"], "--fuse says what --calibrate is to write; name its file with --calibrate FILE"),
    ],
)
def test_what_cannot_be_written_is_one_line(rows: Path, tmp_path: Path, words: list[str], said: str) -> None:
    policy = tmp_path / "own.yaml"
    policy.write_text(POLICY)
    done = guard(rows, "--policy", policy, *(word.replace("OUT", str(tmp_path / "x")) for word in words))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
