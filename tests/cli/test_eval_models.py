"""`guard eval` with models to ask: a supervisor and the policy model behind real servers, as a user would name them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import LlamaConfig, LlamaForCausalLM

from guard.backends import ChatRequest
from tests.backends.tiny_models import tiny, tokenizer
from tests.cli.test_eval import ROOT, guard, write
from tests.server.live import Live, answer, eventually, serving, settings
from tests.server.test_supervisor import EVIDENCE, FINE, NEVER, RIGHT, STOP, VERDICT, WRONG, verdict

JUDGE: dict[str, Any] = {"check": "judge", "deadline_ms": 2500}
OTHER = "Ada Velm was born in Brengate in 1822."
CLAIM = "Ada Velm was born in Kargate in 1815."


def policy(folder: Path, *checks: dict[str, Any]) -> Path:
    watch = {"reasoning": {"release": "immediate"}, "content": {"correct": "retract", "max_hold_ms": 2500}}
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"name": "own", "watch": watch, "checks": list(checks)}), encoding="utf-8")
    return path


def rows(folder: Path, count: int = 3, question: str = "Where was Ada Velm born?") -> Path:
    """Pairs of a wrong answer and a right one."""
    made = []
    for number in range(count):
        base = {"context": EVIDENCE, "question": f"{question} ({number})"}
        spans = [{"start": len(RIGHT) + 1, "end": len(RIGHT) + 1 + len(WRONG)}]
        wrong = {"id": f"{number}-wrong", "response": f"{RIGHT} {WRONG}", "hallucinated": True, "spans": spans}
        made += [base | wrong, base | {"id": f"{number}-right", "response": RIGHT, "hallucinated": False}]
    return write(folder / "g.jsonl", made)


@contextmanager
def server(folder: Path, answers: Sequence[Any]) -> Iterator[Live]:
    folder.mkdir()
    with serving(settings(folder, answers)) as live:
        yield live


def counted(live: Live) -> list[int]:
    """Calls that were open when one began."""
    seen: list[int] = []
    begin = live.backend.begin

    def spying(request: ChatRequest) -> Any:
        turn = begin(request)
        seen.append(live.backend.open_turns)
        return turn

    live.backend.begin = spying  # type: ignore[method-assign]
    return seen


def at(live: Live, what: str) -> list[str]:
    return [f"--{what}", f"{live.url}/v1"]


def judge(live: Live) -> list[str]:
    return [*at(live, "supervisor"), "--supervisor-model", "m@off"]


BOTH = [verdict(VERDICT, "Kargate"), verdict(FINE)]


def test_a_supervisor_judges_every_statement(tmp_path: Path) -> None:
    with server(tmp_path / "s", BOTH) as live:
        seen = counted(live)
        words: list[str | Path] = ["grounded", rows(tmp_path), f"--policy={policy(tmp_path, JUDGE)}", *judge(live)]
        done = guard(*words, "--json", "--predictions", tmp_path / "p.jsonl")
        assert (done.returncode, done.stderr) == (0, "")
        (file,) = json.loads(done.stdout)["files"]
        check = file["checks"]["judge"]
        assert (check["flagged_right"], check["flagged"], check["clean"], check["unscanned"]) == (3, 3, 6, {})
        assert check["supervisor_tokens"] > 9 * 100
        assert len(seen) == 9
        assert 1 < max(seen) <= 4
        alone = guard(*words, "--at-once", "1", "--predictions", tmp_path / "q.jsonl")
        assert max(seen[9:]) == 1
        assert f" {check['supervisor_tokens']} " in alone.stdout
    assert [_bare(line) for line in _lines(tmp_path / "p.jsonl")] == [
        _bare(line) for line in _lines(tmp_path / "q.jsonl")
    ]
    assert [line["id"] for line in _lines(tmp_path / "p.jsonl")] == [
        f"{n}-{w}" for n in range(3) for w in ("wrong", "right")
    ]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _bare(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != "ms"}


def test_answers_that_come_in_another_order_change_nothing(tmp_path: Path) -> None:
    """The first rows' answers take longest."""
    slow = [verdict(VERDICT | {"score": 8}, "Kargate", {"wait_ms": 150}), verdict(FINE)]
    with server(tmp_path / "s", slow) as live:
        words: list[str | Path] = [
            "grounded",
            rows(tmp_path),
            f"--policy={policy(tmp_path, JUDGE)}",
            *judge(live),
            "--at-once=6",
        ]
        done = guard(*words, "--predictions", tmp_path / "p.jsonl")
        assert done.returncode == 0, done.stderr
    scores = [(line["id"], round(line["score"], 3)) for line in _lines(tmp_path / "p.jsonl")]
    assert scores == [(f"{n}-{w}", score) for n in range(3) for w, score in (("wrong", 0.889), ("right", 0.0))]


def test_deadlines_are_counted_and_not_applied(tmp_path: Path) -> None:
    late = JUDGE | {"deadline_ms": 20}
    with server(tmp_path / "s", [verdict(VERDICT, "", {"wait_ms": 80})]) as live:
        done = guard("grounded", rows(tmp_path, 1), f"--policy={policy(tmp_path, late)}", *judge(live), "--json")
    check = json.loads(done.stdout)["files"][0]["checks"]["judge"]
    assert (check["past_deadline"], check["flagged"], check["unscanned"]) == (3, 3, {})


def test_failures_are_counted_and_their_reasons_told_once(tmp_path: Path) -> None:
    prose = verdict("I think it is fine.", "Kargate")
    with server(tmp_path / "s", [prose, verdict(FINE)]) as live:
        done = guard("grounded", rows(tmp_path), f"--policy={policy(tmp_path, JUDGE)}", *judge(live))
    assert done.returncode == 0
    assert "unscanned (error: SupervisorError) 3" in " ".join(done.stdout.split())
    (line,) = done.stderr.splitlines()
    assert line.startswith("guard: judge: the supervisor's answer is no verdict")
    assert line.endswith("(3 times)")


def test_the_policy_model_is_asked_again(tmp_path: Path) -> None:
    check = {"check": "resampling", "deadline_ms": 2500, "interrupt_at": 0.7}
    base = {"context": EVIDENCE, "hallucinated": False, "response": CLAIM}
    file = write(tmp_path / "g.jsonl", [base | {"id": 1, "question": "Who?"}, base | {"id": 2, "question": "When?"}])
    said = [answer([{"content": f"{OTHER} She"}, STOP], when="Who"), answer([{"content": f"{CLAIM} She"}, STOP])]
    with server(tmp_path / "s", said) as live:
        words: list[str | Path] = ["grounded", file, f"--policy={policy(tmp_path, check)}"]
        done = guard(*words, *at(live, "upstream"), "--model", "m", "--json", "--predictions", tmp_path / "p.jsonl")
        assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)["files"][0]["checks"]["resampling"]
    assert (result["flagged"], result["clean"], result["not_applicable"]) == (1, 1, {})
    assert result["supervisor_tokens"] > 0
    assert [line["flagged"] for line in _lines(tmp_path / "p.jsonl")] == [True, False]
    without = json.loads(guard(*words, "--json").stdout)["files"][0]["checks"]["resampling"]
    assert without["not_applicable"] == {"the policy model cannot be asked": 2}


def test_a_configuration_names_them_too(tmp_path: Path) -> None:
    resampling = {"check": "resampling", "deadline_ms": 2500}
    file, own = rows(tmp_path, 1), policy(tmp_path, JUDGE, resampling, {"check": "knowledge"})
    facts = tmp_path / "f.jsonl"
    facts.write_text(json.dumps({"subject": "Ada Velm", "relation": "born in", "object": "Brengate"}) + "\n")
    with server(tmp_path / "s", [*BOTH, answer([{"content": OTHER}, STOP])]) as live:
        model = {"base_url": f"{live.url}/v1", "model": "m@off"}
        config = tmp_path / "guard.yaml"
        document = {
            "models": [
                {"name": "big", "aliases": ["b"], "backend": "openai", **model},
                {"name": "gone", "base_url": "http://127.0.0.1:9/v1"},
            ],
            "supervisor": {"backend": "openai", "at_once": 1, **model},
            "policies": {"default": str(own)},
            "server": {"client_keys_file": "keys.txt"},
        }
        config.write_text(yaml.safe_dump(document))
        done = guard("grounded", file, "--config", config, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        parsed = json.loads(done.stdout)
        checks = parsed["files"][0]["checks"]
        assert parsed["policy"] == "own"
        assert (checks["judge"]["flagged_right"], checks["judge"]["supervisor_tokens"] > 0) == (1, True)
        assert "the policy model cannot be asked" in checks["resampling"]["not_applicable"]
        named = guard("grounded", file, "--config", config, "--json", "--model", "b")
        assert named.returncode == 0, named.stderr
        assert "the policy model cannot be asked" not in named.stdout
        gone = guard("grounded", file, "--config", config, "--model", "gone")
        assert (
            gone.stderr
            == "guard: the policy model 'http://127.0.0.1:9/v1' does not answer; start it, or correct its address\n"
        )


def test_a_local_supervisor_looks_and_writes_verdicts(tmp_path: Path) -> None:
    """A random model: what it thinks means nothing, that all of it is a verdict does."""
    model = LlamaForCausalLM(LlamaConfig(**{**tiny("llama").config.to_dict(), "max_position_embeddings": 8192}))
    model.save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    file, own = rows(tmp_path, 1), policy(tmp_path, JUDGE)
    config = tmp_path / "guard.yaml"
    unused = [{"name": "big", "base_url": "http://127.0.0.1:9/v1"}]
    supervisor = {"backend": "transformers", "model": "./model", "device": "cpu"}
    config.write_text(yaml.safe_dump({"models": unused, "supervisor": supervisor}))
    done = guard("grounded", file, "--config", config, f"--policy={own}", "--json")
    assert done.returncode == 0, done.stderr
    check = json.loads(done.stdout)["files"][0]["checks"]["judge"]
    assert (check["unscanned"], check["not_applicable"], check["clean"] + check["flagged"]) == ({}, {}, 3)
    assert check["supervisor_tokens"] > 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--supervisor", "http://127.0.0.1:9/v1"], "go together"),
        (["--supervisor-model", "m"], "go together"),
        (["--upstream", "http://127.0.0.1:9/v1"], "go together"),
        (["--model", "m"], "--model names a model of --upstream URL, or of the file of --config"),
        (["--supervisor", "no-url", "--supervisor-model", "m"], "base_url"),
        (
            ["--supervisor", "http://127.0.0.1:9/v1", "--supervisor-model", "m"],
            "the supervisor 'http://127.0.0.1:9/v1' does not answer",
        ),
        (["--config", "gone.yaml"], "'gone.yaml' cannot be read"),
        (["--at-once", "0"], "--at-once"),
    ],
)
def test_what_cannot_be_asked_is_one_line(words: list[str], said: str, tmp_path: Path) -> None:
    done = guard("grounded", rows(tmp_path, 1), f"--policy={policy(tmp_path, JUDGE)}", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    if "--at-once" not in words:
        assert done.stderr.count("\n") == 1


def test_ctrl_c_ends_it_with_one_line(tmp_path: Path) -> None:
    with server(tmp_path / "s", [answer([NEVER])]) as live:
        words: list[str | Path] = ["grounded", rows(tmp_path), f"--policy={policy(tmp_path, JUDGE)}", *judge(live)]
        command = [sys.executable, "-m", "guard", "eval", *(str(word) for word in words)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
        # Tests that a shell runs in the background hand down that interrupts are ignored.
        with subprocess.Popen(
            command, **pipes, preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        ) as run:
            try:
                eventually(lambda: live.backend.open_turns == 4, seconds=30)
                run.send_signal(signal.SIGINT)
                out, err = run.communicate(timeout=30)
            finally:
                run.kill()
        assert (run.returncode, out, err) == (130, "", "guard: stopped\n")
        eventually(lambda: live.backend.open_turns == 0)
