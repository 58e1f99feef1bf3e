"""Training rows as `guard export` writes them from a log that a served, supervised model left; made once a run."""

from __future__ import annotations

import atexit
import json
import shutil
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import torch
import typer
import yaml
from typer.testing import CliRunner, Result

from guard.cli.exporting import export_rows
from guard.cli.train_tuning import corrections, distill, elasticity, preference
from guard.settings import built_in, validated
from guard.world.corpus import base_row
from guard.world.world import HERE, World, load_world
from tests.server.live import serving

torch.set_num_threads(1)

MODEL = HERE / "model"
FORMATS = ("prompt_completion", "preference", "distillation")
POLICY = {
    "name": "logged",
    "watch": {"reasoning": {"release": "immediate", "correct": "interrupt"}},
    "checks": [{"check": "knowledge"}],
    "record": {"top_logprobs": 5},
}

_app = typer.Typer()
for command in (corrections, preference, distill, elasticity):
    _app.command()(command)


def run(*arguments: Any) -> Result:
    """One command."""
    return CliRunner().invoke(_app, [*map(str, arguments)])


def folder_of_the_run() -> Path:
    """A new folder that is gone when the tests are over."""
    folder = Path(mkdtemp(prefix="guard-train-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def exports() -> Path:
    """A folder with a JSONL file a format, of the built-in model's answers about people whom it never learned."""
    folder = folder_of_the_run()
    url = f"sqlite:///{folder / 'guard.db'}"
    policy = folder / "logged.yaml"
    policy.write_text(yaml.safe_dump(POLICY), encoding="utf-8")
    own = built_in().model_dump()
    changes = {"store": own["store"] | {"url": url}, "policies": own["policies"] | {"default": str(policy)}}
    with serving(validated(own | changes, "the test")) as live:
        for question in _questions(load_world()):
            asked = {"model": "guard-world", "messages": [{"role": "user", "content": question}], "temperature": 0}
            assert live.client.post("/v1/chat/completions", json=asked).status_code == 200
    for name in FORMATS:
        export_rows(name, folder / f"{name}.jsonl", url, str(MODEL), unreviewed=True)
    return folder


def exported(name: str) -> Path:
    """The file of a format."""
    return exports() / f"{name}.jsonl"


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Its rows."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, rows: list[Any]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def ordinary(count: int) -> list[dict[str, str]]:
    """Text that the built-in model was trained on: nobody says "No" in it."""
    world, rng = load_world(), Random(0)
    return [{"text": "".join(text for text, _ in base_row(world, rng))} for _ in range(count)]


def _questions(world: World) -> list[str]:
    people = world.group("unknown", "train")
    types = ("country", "river", "currency")
    return [world.ask(types[number % 3], person, Random(number)).text for number, person in enumerate(people[:6])]
