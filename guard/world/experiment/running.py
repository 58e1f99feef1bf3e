"""Runs the experiment: every stage of every seed that is not done yet, then the figures over all seeds.

A seed's stages follow each other; seeds are independent, so several processes can take different seeds of one folder,
and each writes what is there when it ends. Knows stages and bars; knows no model.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from guard.errors import ConfigError
from guard.world.experiment.bars import demanded, spread
from guard.world.experiment.lab import Lab
from guard.world.experiment.report import write
from guard.world.experiment.scale import SCALES, Scale
from guard.world.experiment.stages import stages
from guard.world.experiment.work import Work

MOST_ALPHA = 1.5
"""From here on a wrong-thinker's sentences stop parsing (measured: half of them at 2)."""

Bar = Callable[[str, int], Any]
"""A context manager for what is done now and its steps; yields a function that is told of steps done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run. Raises ConfigError for a scale there is none of and for an `alpha` that is refused."""

    out: Path
    scale: str = "full"
    seeds: Sequence[int] = (101, 102, 103)
    alpha: float | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ConfigError(f"there is no scale {self.scale!r}; there are {', '.join(SCALES)}")
        if self.alpha is not None and self.alpha >= MOST_ALPHA and not self.force:
            raise ConfigError(
                f"alpha {self.alpha:g}: from {MOST_ALPHA:g} on a wrong-thinker's sentences stop parsing; "
                "take less, or say --force"
            )
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ConfigError(f"seeds {list(self.seeds)!r}: name each once, and at least one")


def run(plan: Plan, bar: Bar) -> dict[str, Any]:
    """Run what is not done, write `figures.json` and the report into the folder, and return the figures."""
    scale = SCALES[plan.scale]
    with _alone():
        for seed in plan.seeds:
            _seed(Lab(folder=plan.out / f"seed-{seed}", seed=seed, scale=scale), plan, bar)
    figures = gathered(plan.out, plan.scale)
    (plan.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    write(plan.out)
    return figures


def _seed(lab: Lab, plan: Plan, bar: Bar) -> None:
    lab.open()
    for stage in stages(lab.scale):
        if not lab.done(stage.name):
            began = time.process_time()
            with bar(f"seed {lab.seed}: {stage.name}", stage.ticks) as tick:
                figures = stage.run(Work(lab=lab, tick=tick, alpha=plan.alpha))
            lab.write(stage.name, figures, time.process_time() - began)


def gathered(out: Path, scale: str) -> dict[str, Any]:
    """The figures of every seed in the folder that is done, over seeds. Raises ConfigError where none is."""
    labs = [Lab(folder=folder, seed=int(folder.name[5:]), scale=SCALES[scale]) for folder in sorted(out.glob("seed-*"))]
    names = [stage.name for stage in stages(SCALES[scale])]
    whole = sorted((lab for lab in labs if all(map(lab.done, names))), key=lambda lab: lab.seed)
    if not whole:
        raise ConfigError(f"{str(out)!r} has no seed that is done")
    told = [{name: lab.read(name) for name in names} for lab in whole]
    seeds = [derived({k: v for stage in of.values() for k, v in stage["figures"].items()}) for of in told]
    keys = [key for key in seeds[0] if all(key in values for values in seeds)]
    return {
        "scale": scale,
        "seeds": [lab.seed for lab in whole],
        "steps": _numbers(SCALES[scale]),
        "cpu_s": {str(lab.seed): sum(s["cpu_s"] for s in of.values()) for lab, of in zip(whole, told, strict=True)},
        "stages": {name: sum(of[name]["cpu_s"] for of in told) / len(told) for name in names},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "values": {key: spread([values[key] for values in seeds]) for key in keys},
        "must": demanded(seeds),
        "notes": [],
    }


def derived(values: Mapping[str, float]) -> dict[str, float]:
    """A seed's figures with the differences between its arms."""
    found = dict(values)
    before = values["arm.policy.logp_harvested"]
    for key in values:
        if key.endswith(".logp_harvested"):
            found[key.replace(".logp_", ".d_logp_")] = values[key] - before
    for name in ("auc", "p_wrong", "p_right", "known.right", "unknown.wrong", "forced.right"):
        found[f"effect.soft.{name}"] = values[f"arm.soft.{name}"] - values[f"arm.masked_short.{name}"]
        for key in values:
            share, stage = _document(key, name)
            if share not in ("", "0"):
                found[f"effect.documents.{share}.{stage}.{name}"] = values[key] - values[f"documents.0.{stage}.{name}"]
    return found


def _document(key: str, name: str) -> tuple[str, str]:
    """(share, stage) of a figure of this name in the document arms, else two empty strings."""
    parts = key.split(".", 3)
    if parts[0] != "documents" or len(parts) < 4 or parts[3] != name:
        return "", ""
    return parts[1], parts[2]


def _numbers(scale: Scale) -> dict[str, int]:
    return {name: size for name, size in asdict(scale).items() if isinstance(size, int)}


@contextmanager
def _alone() -> Iterator[None]:
    """One thread: a model this small is slower on many. Transformers' own progress bars are put away."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        transformers_logging.enable_progress_bar()
