"""Figures like those of a full run of the experiment, and a reader of the page made of them."""

from __future__ import annotations

import math
import re
import statistics
from html.parser import HTMLParser
from random import Random
from typing import Any
from xml.etree import ElementTree

STEPS = (0, 1, 2, 5, 10, 20, 40, 60)
# p_wrong, p_right, auc, known.right, known.false_no, unknown.wrong, log p of the log's premises: as an earlier run had
# them, or near it.
MEASURED = {
    "policy": (0.0, 0.0, 0.54, 0.93, 0.0, 0.90, -6.15),
    "masked": (0.83, 0.12, 0.98, 0.87, 0.24, 0.49, -6.92),
    "unmasked": (0.80, 0.17, 0.95, 0.80, 0.30, 0.55, -1.96),
    "clean": (0.0, 0.0, 0.51, 0.89, 0.0, 0.45, -8.07),
    "synthetic": (0.82, 0.11, 0.97, 0.88, 0.20, 0.52, -6.44),
    "masked_clean": (0.66, 0.14, 0.93, 0.84, 0.21, 0.45, -7.77),
    "preference": (0.35, 0.09, 0.80, 0.91, 0.06, 0.80, -6.50),
    "masked_short": (0.75, 0.22, 0.88, 0.80, 0.30, 0.56, -6.80),
    "soft": (0.76, 0.21, 0.89, 0.82, 0.28, 0.56, -6.80),
    "cautious": (0.0, 0.0, 0.55, 0.92, 0.0, 0.62, -6.3),
    "false10": (0.74, 0.28, 0.85, 0.78, 0.36, 0.56, -6.70),
    "false30": (0.72, 0.41, 0.76, 0.69, 0.48, 0.57, -6.60),
    "false50": (0.70, 0.55, 0.64, 0.60, 0.61, 0.58, -6.50),
    "other_types": (0.78, 0.11, 0.97, 0.88, 0.20, 0.50, -6.90),
    "phase_two": (0.70, 0.07, 0.97, 0.91, 0.08, 0.57, -6.9),
}


def sample(seeds: int = 3) -> dict[str, Any]:
    """Figures like those of a full run."""
    rng, values = Random(0), {}

    def put(key: str, mean: float, sd: float = 0.02, low: float = 0.0, high: float = 1.0) -> None:
        drawn = [min(high, max(low, rng.gauss(mean, sd))) for _ in range(seeds)]
        spread = statistics.stdev(drawn) if seeds > 1 else 0.0
        values[key] = {"mean": statistics.mean(drawn), "sd": spread, "n": seeds, "values": drawn}

    said = {"known": (0.93, 0.06, 0.84), "tail": (0.25, 0.80, 0.94), "unknown": (0.09, 0.97, 0.92)}
    for stage in ("base", "policy"):
        for group, (right, first, follows) in said.items():
            for key, mean in (("right", right), ("first_wrong", first), ("follows", follows), ("wrong", 1 - right)):
                put(f"{stage}.{group}.{key}", mean)
            for key in ("idk", "none", "premise_wrong", "unparsed"):
                put(f"{stage}.{group}.{key}", 0.01, 0.01)
    for key, mean in (("auc", 0.95), ("known", 0.95), ("unknown", 0.54)):
        put(f"consistency.{key}", mean)
    for alpha in (-1.0, 0.0, 0.25, 0.5, 0.75, 1.0):
        for group, right in (("known", 0.93), ("tail", 0.3)):
            put(f"alpha.{alpha:g}.{group}.right", right - 0.25 * alpha, 0.04)
            put(f"alpha.{alpha:g}.{group}.first_wrong", 1 - right + 0.2 * alpha, 0.04)
            put(f"alpha.{alpha:g}.{group}.follows", 0.93 - 0.15 * max(0.0, alpha), 0.03)
            put(f"alpha.{alpha:g}.{group}.unparsed", 0.08 * max(0.0, alpha), 0.02)
    put("alpha.used", 0.67, 0.1)
    counts = {"answers": 5900, "interruptions": 3012, "confirmed": 2988, "distinct": 1900, "unknown": 870, "rows": 2700}
    counts |= {"preference_rows": 1400, "documents": 2650, "clean_rows": 900, "soft_rows": 2500}
    for key, mean in counts.items():
        put(f"harvest.{key}", mean, mean / 50, 0, 1e9)
    put("harvest.false_rows", 680, 10, 0, 1e9)
    put("arm.preference.won", 0.95)
    for name, measured in MEASURED.items():
        for key, mean in zip(
            ("p_wrong", "p_right", "auc", "known.right", "known.false_no", "unknown.wrong"), measured, strict=False
        ):
            put(f"arm.{name}.{key}", mean)
        put(f"arm.{name}.logp_harvested", measured[6], 0.2, -99)
        put(f"arm.{name}.logp_heldout", -9 + measured[0], 0.3, -99)
        put(f"arm.{name}.d_logp_harvested", measured[6] + 6.15, 0.2, -99, 99)
        for key in ("known.wrong", "known.idk", "known.first_wrong", "unknown.right", "unknown.idk"):
            put(f"arm.{name}.{key}", 0.08)
        for key, mean in (
            ("p_wrong_type", 0.7),
            ("p_right_type", 0.1),
            ("auc_type", 0.9),
            ("p_wrong_relation", 0.6),
            ("p_right_relation", 0.1),
            ("auc_relation", 0.8),
            ("p_wrong_expert", 0.8),
            ("auc_expert", 0.96),
        ):
            put(f"arm.{name}.{key}", mean * measured[0])
        for key, mean in (("p_right_expert", 0.1), *((f"forced.{k}", 0.3) for k in ("right", "idk", "follows"))):
            put(f"arm.{name}.{key}", mean)
        put(f"arm.{name}.forced.corrected", measured[0])
    values["elasticity.tokens_a_step"] = {"mean": 1536.0, "sd": 0.0, "n": seeds, "values": [1536.0] * seeds}
    for keep, floor in ((0, 0.01), (5, 0.5), (20, 0.7)):
        for step in STEPS:
            put(f"elasticity.keep{keep}.{step}.p_wrong", floor + (0.83 - floor) * math.exp(-step / 6), 0.03)
            put(f"elasticity.keep{keep}.{step}.p_right", 0.12 * math.exp(-step / 6), 0.01)
            put(f"elasticity.keep{keep}.{step}.auc", 0.98 - 0.1 * step / 60)
        put(f"elasticity.keep{keep}.end.known.right", 0.91)
    for rate in (0, 1, 5, 20):
        for stage, there in (("base", 0.0), ("policy", 0.0), ("corrected", 1.0)):
            put(f"documents.{rate}.{stage}.p_wrong", there * 0.75 + rate / 200, 0.03)
            put(f"documents.{rate}.{stage}.unknown.wrong", 0.9 - 0.35 * there - rate / 400, 0.03)
            for key in ("p_right", "auc", "known.right", "unknown.idk", "forced.right"):
                put(f"documents.{rate}.{stage}.{key}", 0.5)
    for key, mean in (("auc", 0.01), ("p_wrong", 0.01), ("known.right", 0.02), ("logp_harvested", 0.1)):
        put(f"effect.soft.{key}", mean, 0.02, -9, 9)
    for rate in (1, 5, 20):
        for key in ("p_wrong", "p_right", "auc", "known.right", "unknown.wrong", "forced.right"):
            for stage in ("base", "policy", "corrected"):
                put(f"effect.documents.{rate}.{stage}.{key}", rate / 200, 0.02, -9, 9)
    return {
        "scale": "full",
        "seeds": list(range(3, seeds + 3)),
        "steps": {"rows": 24, "base": 800, "listen": 160, "arm": 500, "short": 250, "second": 60, "asked": 200},
        "cpu_s": {str(seed): 4211.5 + seed for seed in range(3, seeds + 3)},
        "stages": {"base": 240.4, "masked": 171.2},
        "machine": "two cores of an x86-64 server",
        "values": values,
        "must": [
            must(values, "base.unknown.first_wrong", "unknown people: first premise wrong, base", ">=", 0.9),
            must(values, "arm.masked.auc", "AUC on held-out known people", ">=", 0.9),
            must(values, "arm.masked.p_right", 'P("No"|right)', "<=", 0.25),
            must(values, "arm.masked.known.right", "masked: right about known people", ">=", 0.88, "goal"),
            must(values, "arm.nowhere.auc", "a bar whose arm was left out", ">=", 0.88),
        ],
        "notes": ["The questions are the same for every model of a seed."],
    }


def must(values: dict[str, Any], key: str, name: str, op: str, bound: float, kind: str = "bar") -> dict[str, Any]:
    value = values.get(key)
    made = {"key": key, "name": name, "op": op, "bound": bound, "kind": kind}
    if value is None:
        return made | {"mean": None, "sd": None, "n": 0, "met": None}
    met = value["mean"] >= bound if op == ">=" else value["mean"] <= bound
    return made | {"mean": value["mean"], "sd": value["sd"], "n": value["n"], "met": met}


def markdown_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    return [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def section(text: str, title: str) -> str:
    """What stands below a heading of the Markdown."""
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


class Page(HTMLParser):
    """Tables, headings and pictures of a page; fails on a tag that is closed wrongly."""

    VOID = frozenset({"meta"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.words = ""
        self.feed(page)
        self.close()
        assert self.open == []
        self.pictures = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
