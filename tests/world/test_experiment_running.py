"""A run goes on where it was broken off, refuses what it must, and gathers the seeds that are done."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from typer.testing import CliRunner

from guard.cli import app
from guard.errors import ConfigError
from guard.world.experiment import running
from guard.world.experiment.bars import BARS, REPORTED, demanded, plain, spread
from guard.world.experiment.running import Plan, derived, gathered, run
from guard.world.experiment.scale import SCALES
from guard.world.experiment.stages import stages

TINY = replace(
    SCALES["quick"], rows=2, base=3, young=1, listen=2, young_listen=1, lesson=1, asked=6, probed=6, known_answers=8
)


class Stopped(Exception):
    pass


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCALES, "tiny", TINY)


@contextmanager
def quiet(what: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda done: None


def until(stage: str) -> Callable[[str, int], object]:
    """A bar that breaks the run off when a stage has begun."""

    @contextmanager
    def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
        if what.endswith(f": {stage}"):
            raise Stopped
        yield lambda done: None

    return bar


def test_a_run_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    plan = Plan(out=tmp_path, scale="tiny", seeds=(5,))
    with pytest.raises(Stopped):
        run(plan, until("wrong_thinker"))
    folder = tmp_path / "seed-5"
    first = (folder / "base.json").read_text(), (folder / "base" / "model.safetensors").stat().st_mtime_ns
    assert not (folder / "wrong_thinker.json").exists()
    with pytest.raises(Stopped):
        run(plan, until("harvest"))
    assert (folder / "wrong_thinker.json").exists()
    assert ((folder / "base.json").read_text(), (folder / "base" / "model.safetensors").stat().st_mtime_ns) == first


def test_a_model_that_learned_nothing_leaves_no_log_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to train on"):
        run(Plan(out=tmp_path, scale="tiny", seeds=(5,)), quiet)


def test_another_experiment_in_the_folder_is_not_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(out=tmp_path, scale="tiny", seeds=(5,))
    with pytest.raises(Stopped):
        run(plan, until("listen"))
    monkeypatch.setitem(SCALES, "tiny", replace(TINY, base=4))
    with pytest.raises(ConfigError, match="holds another experiment"):
        run(plan, quiet)


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_a_large_alpha_is_refused_unless_forced(tmp_path: Path, alpha: float) -> None:
    with pytest.raises(ConfigError, match="stop parsing"):
        Plan(out=tmp_path, alpha=alpha)
    assert Plan(out=tmp_path, alpha=alpha, force=True).alpha == alpha
    said = CliRunner().invoke(app, ["world", "experiment", "--out", str(tmp_path), "--alpha", str(alpha)])
    assert isinstance(said.exception, ConfigError)


@pytest.mark.parametrize(
    ("changes", "said"), [({"scale": "huge"}, "huge"), ({"seeds": (1, 1)}, "once"), ({"seeds": ()}, "one")]
)
def test_a_plan_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Plan(out=tmp_path, **changes)


def test_only_seeds_that_are_done_are_gathered(tmp_path: Path) -> None:
    names = [stage.name for stage in stages(TINY)]
    keys = {of for of in REPORTED.values() if not of.startswith("effect.")}
    for seed in (1, 2, 3):
        folder = tmp_path / f"seed-{seed}"
        folder.mkdir()
        for name in names[: None if seed < 3 else -1]:
            figures = dict.fromkeys(keys, 0.5 * seed) if name == "base" else {}
            figures |= {"arm.policy.logp_harvested": -9.0} if name == "base" else {}
            figures |= {f"arm.{arm}.{k}": 0.1 for arm in ("soft", "masked_short") for k in _COMPARED}
            (folder / f"{name}.json").write_text(json.dumps({"cpu_s": 2.0, "figures": figures}))
    found = gathered(tmp_path, "tiny")
    assert found["seeds"] == [1, 2]
    assert found["cpu_s"] == {"1": 2.0 * len(names), "2": 2.0 * len(names)}
    assert found["values"]["harvest.interruptions"] == spread([0.5, 1.0])
    assert plain(found)["harvested_answers_interrupted"] == {"mean": 0.75, "sd": spread([0.5, 1.0])["sd"], "n": 2}
    with pytest.raises(ConfigError, match="no seed"):
        gathered(tmp_path / "elsewhere", "tiny")


_COMPARED = ("auc", "p_wrong", "p_right", "known.right", "unknown.wrong", "forced.right")


def test_differences_are_within_a_seed() -> None:
    values = {f"arm.{arm}.{name}": value for name in _COMPARED for arm, value in (("soft", 0.7), ("masked_short", 0.4))}
    values |= {"arm.policy.logp_harvested": -9.0, "arm.masked.logp_harvested": -9.5}
    values |= {"documents.0.base.auc": 0.5, "documents.5.base.auc": 0.8}
    found = derived(values)
    assert found["effect.soft.auc"] == pytest.approx(0.3)
    assert found["effect.documents.5.base.auc"] == pytest.approx(0.3)
    assert found["arm.masked.d_logp_harvested"] == pytest.approx(-0.5)
    assert "effect.documents.0.base.auc" not in found


def test_bars_say_what_is_met() -> None:
    good = {"base.unknown.follows": 0.9, "consistency.auc": 0.8}
    told = {each["key"]: each for each in demanded([good, good])}
    assert told["follows_own_wrong_premise"]["met"]
    assert not told["consistency_auc"]["met"]
    assert told["no_auc_phase_one"]["met"] is None  # not run
    assert len(told) == len(BARS)
    assert len({bar.key for bar in BARS} | set(REPORTED)) == len(BARS) + len(REPORTED)


def test_running_is_alone_on_its_thread() -> None:
    import torch

    before = torch.get_num_threads()
    with running._alone():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
