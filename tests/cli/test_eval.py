"""`guard eval` as a command: what it prints and writes, and what it says of what it cannot do."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from guard import registry

ROOT = Path(__file__).parents[2]
STEPS = [["3 * 4 = 12.", "So 12 + 1 = 14."], ["3 * 4 = 12.", "So 12 + 1 = 13."], ["Two and two.", "2 + 2 = 5."]]


POLICY = """
name: own
watch: {reasoning: {release: immediate}, content: {correct: retract}}
checks: [{check: arithmetic}, {check: knowledge}]
"""


def guard(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "guard", "eval", *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def policy(tmp_path: Path) -> str:
    (tmp_path / "own.yaml").write_text(POLICY, encoding="utf-8")
    return f"--policy={tmp_path / 'own.yaml'}"


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """Two wrong solutions and a right one, five times."""
    rows = [
        {"id": f"{n}-{at}", "question": f"q{n}", "steps": made, "first_error": -1 if at == 1 else 1}
        for n in range(5)
        for at, made in enumerate(STEPS)
    ]
    return write(tmp_path / "steps[1].jsonl", rows)


@pytest.fixture
def grounded(tmp_path: Path) -> Path:
    response = "In all 3 + 4 = 8 came. They left."
    rows = [
        {"id": "1", "context": "c", "response": response, "hallucinated": True, "spans": [{"start": 7, "end": 16}]},
        {"id": "2", "context": "d", "response": "In all 3 + 4 = 7 came.", "hallucinated": False},
    ]
    return write(tmp_path / "g.jsonl", rows)


def test_people_get_a_table(steps: Path, policy: str) -> None:
    done = guard("steps", steps, "--controls", policy)
    assert (done.returncode, done.stderr) == (0, "")
    assert "steps, policy own, base rate as in the data" in done.stdout
    assert f"{steps}: 15 rows, 10 wrong, 5 sources, 30 segments, 10 interruptions (10 right, 0 false)" in done.stdout
    figures = {line.split()[1]: line.split()[3] for line in done.stdout.splitlines() if line.startswith("│")}
    assert (figures["example_f1"], figures["step_f1"], figures["false_per_1000_clean_tokens"]) == ("1.000",) * 2 + (
        "0.000",
    )
    assert "not_applicable (no facts file) 30" in " ".join(done.stdout.split())
    assert "note: shuffled: the same scores" in done.stdout


def test_programs_get_one_document(steps: Path, grounded: Path, policy: str) -> None:
    done = guard("steps", steps, "--json", "--seed", "3", policy)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    (file,) = found["files"]
    assert file["figures"]["step_f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert (found["seed"], found["checks"].keys()) == (3, {"arithmetic", "knowledge"})
    assert file["sha256"] == sha256(steps.read_bytes()).hexdigest()
    again = json.loads(guard("steps", steps, "--json", "--seed", "3", policy).stdout)
    assert untimed(again) == untimed(found)
    (file,) = json.loads(guard("grounded", grounded, "--json", "--base-rate", "0.2", policy).stdout)["files"]
    assert file["figures"]["span_f1"]["value"] == 1.0


def untimed(document: dict[str, Any]) -> Any:
    """Without what it cost, which is never the same twice."""
    if isinstance(document, dict):
        return {name: untimed(value) for name, value in document.items() if not name.startswith("ms_")}
    return [untimed(each) for each in document] if isinstance(document, list) else document


def test_a_line_of_predictions_a_row(steps: Path, grounded: Path, tmp_path: Path, policy: str) -> None:
    out = tmp_path / "out.jsonl"
    assert guard("steps", steps, "--predictions", out, "--json", policy).returncode == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"{n}-{at}" for n in range(5) for at in range(3)]
    assert [line["first_error"] for line in lines] == [1, -1, 1] * 5
    assert {len(line["ms"]) for line in lines} == {2}
    assert guard("grounded", grounded, "--predictions", out, "--json", policy).returncode == 0
    first, second = (json.loads(line) for line in out.read_text().splitlines())
    (ms, _) = first.pop("ms")
    assert ms >= 0
    assert first == {
        "id": "1",
        "score": 1.0,
        "flagged": True,
        "spans": [{"start": 7, "end": 16, "score": 1.0, "check": "arithmetic"}],
        "interrupted_at": 22,
        "interruptions": [22],
    }
    assert (second["score"], second["flagged"], second["spans"], second["interrupted_at"]) == (0.0, False, [], None)


def test_pictures_and_a_calibration_are_written(steps: Path, tmp_path: Path, policy: str) -> None:
    folder, out = tmp_path / "deep" / "plots", tmp_path / "calibration.json"
    words = ("--plots", folder, "--calibrate", out, "--budget", "2", "--json", "--base-rate", "0.3", policy)
    done = guard("steps", steps, *words)
    assert (done.returncode, done.stderr.partition(" is written; ")[0]) == (0, str(out))
    assert sorted(path.name for path in folder.iterdir()) == [
        "steps[1].precision-recall.svg",
        "steps[1].reliability.svg",
    ]
    assert all(Xml.parse(path).getroot().tag.endswith("svg") for path in folder.iterdir())
    found = json.loads(out.read_text())
    assert (found["version"], found["check"], found["check_version"]) == (
        1,
        "arithmetic",
        registry.plugin("checks", "arithmetic").version,
    )
    assert found["data"] == [{"file": steps.name, "sha256": sha256(steps.read_bytes()).hexdigest(), "rows": 15}]
    assert (found["base_rate"], found["budget"], found["seed"], found["shape"]) == (0.3, 2.0, 0, "steps")
    assert found["metrics"]["wrong_statements_interrupted"] == 1.0
    assert found["metrics"]["false_per_1000_clean_tokens"] == 0.0


def test_a_policy_of_ones_own_and_a_part_of_the_rows(steps: Path, tmp_path: Path) -> None:
    policy = tmp_path / "one.yaml"
    policy.write_text(
        "name: one\nwatch: {reasoning: {}}\nchecks: [{check: phrase, phrases: [{text: Two and two}]}]\n",
        encoding="utf-8",
    )
    found = json.loads(guard("steps", steps, "--policy", policy, "--limit", "6", "--json").stdout)
    (file,) = found["files"]
    assert (found["policy"], file["rows"]) == ("one", 6)
    assert set(file["checks"]) == {"phrase"}


def test_facts_are_given_to_the_checks(tmp_path: Path, policy: str) -> None:
    facts = write(
        tmp_path / "facts.jsonl",
        [
            {
                "relation": "birthplace",
                "patterns": ["{subject} was born in {object}."],
                "negation": "{subject} was not born in {object}.",
                "functional": True,
            },
            {"subject": "Ada Velm", "relation": "birthplace", "object": "Brengate"},
        ],
    )
    row = {"id": "1", "context": "", "response": "Ada Velm was born in Kargate.", "hallucinated": True}
    found = json.loads(guard("grounded", write(tmp_path / "g.jsonl", [row]), "--facts", facts, "--json", policy).stdout)
    assert found["files"][0]["checks"]["knowledge"]["interruptions"] == 1


def one_line(*words: str | Path) -> str:
    done = guard(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("guard: ")
    return done.stderr


def test_what_cannot_be_measured_is_said_in_one_line(steps: Path, tmp_path: Path) -> None:
    assert "there is no shape 'step'; there are grounded, steps, pairs" in one_line("step", steps)
    assert "row 1: context: Field required" in one_line("grounded", steps)
    assert "cannot be read: No such file" in one_line("steps", tmp_path / "none.jsonl")
    assert "holds no rows" in one_line("steps", write(tmp_path / "empty.jsonl", []))
    assert "policy 'off' checks nothing" in one_line("steps", steps, "--policy", "off")
    assert "there is no policy 'nope'" in one_line("steps", steps, "--policy", "nope")
    assert "there is no folder" in one_line("steps", steps, "--predictions", tmp_path / "no" / "out.jsonl")
    assert "cannot be written: Is a directory" in one_line("steps", steps, "--predictions", tmp_path)
    pair = {"id": 1, "prefix": "", "sentence": "s", "resample": "r", "contradicts": True}
    assert "compare(sentence, resample, context)" in one_line("pairs", write(tmp_path / "pairs.jsonl", [pair]))


def test_without_numpy_the_extra_is_named(steps: Path) -> None:
    code = f"import sys; sys.modules['numpy'] = None; sys.argv = ['guard', 'eval', 'steps', {str(steps)!r}]\n"
    code += "from guard.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "guard: measuring needs 'numpy': pip install 'premise-guard[local]'\n"
