"""`guard eval`: files of labelled rows in, one document of figures out.

Reads nothing and prints nothing: rows come from `rows`, figures from `figures`. A file is measured as a whole and so is
each `dataset/task`, since labels of several origins in one figure say more about their mixture than about a check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from guard.evaluation.asking import Models
from guard.evaluation.comparing import Comparer
from guard.evaluation.controls import by_length, by_position, notes, same_length, strangers
from guard.evaluation.figures import RESAMPLES, Figures, Interval, Sample, intervals
from guard.evaluation.judged import Played
from guard.evaluation.playing import DELTA, Cut, Player
from guard.evaluation.ranking import Floats
from guard.evaluation.rows import Labelled, Row, Shape
from guard.registry import LoadedPolicy

VERSION = 1
_UNCHECKED = ("length", "position")
Watch = Callable[[str, Sequence[Row]], Iterable[Row]]
"""Passes rows on and shows how far they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to measure.

    Attributes:
        controls: measure the controls too; the shuffled one plays everything again.
        base_rate: share of wrong rows to reweight to, or None to leave the sample as it is.
        limit: rows of each file, drawn with `seed`; None for all.
        resamples: bootstrap draws.
    """

    shape: Shape
    controls: bool = False
    base_rate: float | None = None
    limit: int | None = None
    seed: int = 0
    resamples: int = RESAMPLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The document (see `evaluate`) and what it was made from, by file."""

    document: Mapping[str, Any]
    played: Mapping[str, Sequence[Played]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Rows that are measured together; `shuffled` the same rows with what others gave, () without that control."""

    name: str
    played: list[Played]
    shuffled: list[Played]


def evaluate(
    loaded: LoadedPolicy,
    files: Sequence[Labelled],
    options: Options,
    watch: Watch,
    cut: Cut | None = None,
    models: Models | None = None,
) -> Evaluation:
    """Play every row and measure. Raises ConfigError where the policy has nothing to play it to.

    `models` are those that the policy's checks may ask.

    The document: `shape`, `policy`, `checks` (versions), `base_rate`, `seed`, then `files` and `datasets`, each a list
    of results with `name`, `rows`, `wrong`, `sources`, `counts`, `figures` (value, low, high), `best_threshold`,
    `checks`, `controls` and `notes`.
    """
    if options.shape == "pairs":
        compare = Comparer(loaded).play
        groups = _played(lambda rows: map(compare, rows), files, options, watch)
    else:
        with Player(loaded, options.shape, cut, models) as player:
            groups = _played(player.play_all, files, options, watch)
    results = {group.name: _result(group, options) for group in groups}
    document = {
        "version": VERSION,
        "shape": options.shape,
        "policy": loaded.policy.name,
        "policy_hash": loaded.hash,
        "checks": {spec.name: spec.version for spec in loaded.specs},
        "base_rate": options.base_rate,
        "seed": options.seed,
        "resamples": options.resamples,
        "delta_characters": DELTA,
        "files": [{**results[group.name], "sha256": file.sha256} for group, file in zip(groups, files, strict=True)],
        "datasets": [_dataset(group, groups, results, options) for group in _datasets(groups)],
    }
    return Evaluation(document=document, played={group.name: group.played for group in groups})


def _played(
    play: Callable[[Iterable[Row]], Iterable[Played]], files: Sequence[Labelled], options: Options, watch: Watch
) -> list[_Group]:
    groups = []
    for file in files:
        rows = drawn(file.rows, options.limit, options.seed)
        played = list(play(watch(file.path.name, rows)))
        others = strangers(rows, options.shape) if options.controls else None
        shuffled = list(play(watch(f"{file.path.name} shuffled", others))) if others else []
        groups.append(_Group(name=str(file.path), played=played, shuffled=shuffled))
    return groups


def drawn(rows: Sequence[Row], limit: int | None, seed: int) -> Sequence[Row]:
    """At most `limit` rows by chance, in their order."""
    if limit is None or limit >= len(rows):
        return rows
    return [rows[at] for at in sorted(Random(seed).sample(range(len(rows)), limit))]


def _datasets(groups: Sequence[_Group]) -> list[_Group]:
    found: dict[str, _Group] = {}
    for group in groups:
        for at, each in enumerate(group.played):
            into = found.setdefault(each.row.dataset, _Group(name=each.row.dataset, played=[], shuffled=[]))
            into.played.append(each)
            into.shuffled.extend(group.shuffled[at : at + 1])
    # A control over a part of the rows would be compared with figures over all of them.
    return [
        g if len(g.shuffled) == len(g.played) else _Group(name=g.name, played=g.played, shuffled=[])
        for g in found.values()
    ]


def _dataset(
    group: _Group, files: Sequence[_Group], results: Mapping[str, dict[str, Any]], options: Options
) -> dict[str, Any]:
    """A dataset that is just one file has been measured already."""
    same = next((file for file in files if file.played == group.played), None)
    return {**results[same.name], "name": group.name} if same else _result(group, options)


def _result(group: _Group, options: Options) -> dict[str, Any]:
    sample = Sample(group.played)
    weights = sample.weights(options.base_rate)
    figures, between = _measured(sample, weights, options)
    best = sample.ranking.best(weights)
    controls, said = _controls(group, weights, between, options) if options.controls else ({}, [])
    if not sample.checks and sample.total("segments"):
        said = [*said, "no check of the policy looks at this channel: nothing was judged"]
    if options.base_rate is not None and sample.total("wrong") in (0, len(group.played)):
        said = [*said, "the base rate does not apply: the rows have one label only"]
    return {
        "name": group.name,
        "rows": len(group.played),
        "wrong": sample.total("wrong"),
        "sources": sample.sources,
        "counts": {name: sample.total(name) for name in ("flagged", "segments", "clean_tokens", "interruptions")}
        | {f"interruptions_{name}": sample.total(f"interruptions.{name}") for name in ("right", "false", "unjudged")},
        "figures": _told(figures, between, _of_all),
        "best_threshold": best[0] if best else None,
        "checks": {check: _check(check, sample, figures, between) for check in sample.checks},
        "controls": {
            name: {"figures": _told(*measured, _of_control if name in _UNCHECKED else _of_all)}
            for name, measured in controls.items()
        },
        "notes": said,
    }


def _measured(sample: Sample, weights: Floats, options: Options) -> tuple[Figures, Mapping[str, Interval]]:
    return sample.figures(weights), intervals(sample, weights, options.seed, options.resamples)


def _told(figures: Figures, between: Mapping[str, Interval], wanted: Callable[[str], bool]) -> dict[str, Any]:
    return {
        name: {"value": value, "low": between[name][0], "high": between[name][1]}
        for name, value in figures.items()
        if wanted(name)
    }


def _of_all(name: str) -> bool:
    return "." not in name


def _of_control(name: str) -> bool:
    """No check ran, so nothing was left out and nothing cost time."""
    return _of_all(name) and not name.startswith(("ms_", "unscanned", "not_applicable"))


def _check(check: str, sample: Sample, figures: Figures, between: Mapping[str, Interval]) -> dict[str, Any]:
    counted: dict[str, Any] = {
        name: sample.total(f"{check}.{name}") for name in ("clean", "flagged", "interruptions", "used")
    }
    counted |= {f"flagged_{name}": sample.total(f"{check}.flagged.{name}") for name in ("right", "false", "unjudged")}
    counted |= {name: sample.totals(f"{check}.{name}.") for name in ("unscanned", "not_applicable")}
    counted["past_deadline"] = sum(each.past_deadline.get(check, 0) for each in sample.played)
    counted["supervisor_tokens"] = sum(each.spent.get(check, 0) for each in sample.played)
    own = _told(figures, between, lambda name: name.startswith(f"{check}."))
    return counted | {"figures": {name.removeprefix(f"{check}."): value for name, value in own.items()}}


def _controls(
    group: _Group, weights: Floats, own: Mapping[str, Interval], options: Options
) -> tuple[dict[str, tuple[Figures, Mapping[str, Interval]]], list[str]]:
    matched = {"length": by_length(group.played, options.seed), "position": by_position(group.played, options.seed)}
    matched |= {"shuffled": group.shuffled} if group.shuffled else {}
    found = {name: _measured(Sample(played), weights, options) for name, played in matched.items()}
    found["same_length"] = _measured(Sample(group.played), weights * same_length(group.played), options)
    same = bool(group.shuffled) and [p.score for p in group.shuffled] == [p.score for p in group.played]
    return found, list(notes(own, found, same))
