"""The report says what the figures say, draws them without overlaps, and says "not run" where there are none."""

from __future__ import annotations

import copy
import json
import math
import re
import statistics
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.world.experiment import drawing, report, report_charts
from guard.world.experiment.report_charts import Head
from guard.world.experiment.report_figures import NOT_RUN, Value, quantile, read
from guard.world.experiment.report_measures import ARMS, MEASURES

SVG = "{http://www.w3.org/2000/svg}"
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
    "false10": (0.74, 0.28, 0.85, 0.78, 0.36, 0.56, -6.70),
    "false30": (0.72, 0.41, 0.76, 0.69, 0.48, 0.57, -6.60),
    "false50": (0.70, 0.55, 0.64, 0.60, 0.61, 0.58, -6.50),
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
    for key, mean in (counts | {"preference_rows": 1400, "documents": 2650}).items():
        put(f"harvest.{key}", mean, mean / 50, 0, 1e9)
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
        for key, mean in (("p_wrong_type", 0.7), ("auc_type", 0.9), ("p_wrong_expert", 0.8), ("auc_expert", 0.96)):
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
    for rate in (0, 1, 5, 20):
        for stage, there in (("base", 0.0), ("policy", 0.0), ("corrected", 1.0)):
            put(f"documents.{rate}.{stage}.p_wrong", there * 0.75 + rate / 200, 0.03)
            put(f"documents.{rate}.{stage}.unknown.wrong", 0.9 - 0.35 * there - rate / 400, 0.03)
            for key in ("p_right", "auc", "known.right", "unknown.idk", "forced.right"):
                put(f"documents.{rate}.{stage}.{key}", 0.5)
    for key, mean in (("auc", 0.01), ("p_wrong", 0.01), ("known.right", 0.02), ("logp_harvested", 0.1)):
        put(f"effect.soft.{key}", mean, 0.02, -9, 9)
    for rate in (1, 5, 20):
        for key in ("p_wrong", "unknown.wrong", "known.right"):
            put(f"effect.documents.{rate}.{key}", rate / 200, 0.02, -9, 9)
    return {
        "scale": "full",
        "seeds": list(range(1, seeds + 1)),
        "steps": {"base": 1000, "listen": 160, "arm": 500},
        "cpu_s": {str(seed): 4211.5 + seed for seed in range(1, seeds + 1)},
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


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    return sample()


@pytest.fixture(scope="module")
def page(figures: dict[str, Any]) -> Page:
    return Page(report.html(figures))


def markdown_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    return [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_page_is_one_file_that_fetches_nothing_and_runs_nothing(figures: dict[str, Any], page: Page) -> None:
    assert not page.tags & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert not {name for name in page.attributes if name.startswith("on") or name in ("src", "style")}
    text = report.html(figures).replace("http://www.w3.org/2000/svg", "")
    assert "http" not in text
    assert "url(" not in text
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text


def test_every_picture_says_what_it_is_and_every_id_is_there_once(page: Page) -> None:
    assert len(page.pictures) >= 9
    assert len(page.ids) == len(set(page.ids))
    for picture in page.pictures:
        title, description = picture.find(f"{SVG}title"), picture.find(f"{SVG}desc")
        assert title is not None
        assert title.text
        assert description is not None
        assert description.text
        assert picture.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"


def test_both_forms_have_the_same_tables(figures: dict[str, Any], page: Page) -> None:
    assert markdown_rows(report.markdown(figures)) == page.rows


def test_every_number_of_an_arm_is_the_input_rounded(figures: dict[str, Any], page: Page) -> None:
    titles = {title: key for key, title in MEASURES.items()}
    head: list[str] = []
    seen = set()
    for row in page.rows:
        head = row if row[0] == "arm" else head if row[0] in ARMS else []
        for column, cell in zip(head[1:], row[1:], strict=False) if row is not head else ():
            key = titles[column]
            value = figures["values"][f"arm.{row[0]}.{key}"]
            sign = "+" if key.startswith("d_") else ""
            mean, _, sd = cell.partition(" ± ")
            assert float(mean) == pytest.approx(value["mean"], abs=0.00501)
            assert mean.startswith(sign) or value["mean"] < 0
            assert sd == f"{value['sd']:.2f}"
            seen.add((row[0], key))
    assert seen == {(arm, key) for arm in ARMS for key in MEASURES}


def test_every_figure_of_the_sample_is_in_a_table(figures: dict[str, Any], page: Page) -> None:
    cells = {cell for row in page.rows for cell in row}
    for key, value in figures["values"].items():
        if key in ("elasticity.tokens_a_step", "alpha.used") or key.startswith(("consistency.", "harvest.")):
            continue
        written = f"{value['mean']:z.2f} ± {value['sd']:.2f}"
        assert written in cells or f"+{written}" in cells, key


def test_what_is_not_met_is_as_plain_as_what_is(figures: dict[str, Any], page: Page) -> None:
    outcomes = {row[0]: row[-1] for row in page.rows if len(row) == 6 and row[1] in ("bar", "goal")}
    assert list(outcomes.values()) == ["met", "met", "met", "NOT met", "not run"]
    assert "Bars: 3 met, 0 NOT met, 1 not run. Goals: 0 met, 1 NOT met, 0 not run." in page.words
    assert "Goal not met: masked: right about known people: needed ≥ 0.88" in page.words


def test_a_mean_beside_its_bound_shows_on_which_side_it_is() -> None:
    for mean, shown in ((0.8996, "0.8996"), (0.9, "0.90"), (0.85, "0.85"), (0.90004, "0.90004")):
        given = {"key": "k", "name": "n", "op": ">=", "bound": 0.9, "mean": mean, "sd": 0, "n": 1, "met": mean >= 0.9}
        assert read({"must": [given]}).must[0].measured == shown


def closing(figures: dict[str, Any]) -> str:
    return report.markdown(figures).partition("## What does not work")[2].partition("\n## ")[0]


def test_what_does_not_work_follows_the_rules(figures: dict[str, Any]) -> None:
    text = closing(figures)
    named = set(re.findall(r"Arm (\w+):", text))
    values = figures["values"]
    plain = values["arm.policy.known.right"]["mean"]
    assert named == {arm for arm in ARMS if values[f"arm.{arm}.known.right"]["mean"] < plain - 0.05}
    effects = [value for key, value in values.items() if key.startswith("effect.")]
    halves = [(abs(value["mean"]), 4.303 * value["sd"] / math.sqrt(3)) for value in effects]
    assert len(re.findall("^- .* includes 0.$", text, re.MULTILINE)) == sum(mean <= half for mean, half in halves)


def test_an_effect_that_is_certain_is_not_among_what_does_not_work() -> None:
    values = {"effect.soft.auc": {"mean": 0.1, "sd": 0.01, "n": 3, "values": [0.09, 0.1, 0.11]}}
    assert "Difference" not in closing({"values": values})
    values["effect.soft.auc"]["sd"] = 0.1
    assert "includes 0" in closing({"values": values})


def test_one_seed_has_no_interval_and_no_error_bar() -> None:
    page = report.html(sample(1))
    assert not [cell for row in Page(page).rows for cell in row if "±" in cell]
    assert 'class="error' not in page
    assert 'class="seed' not in page
    assert "one seed: no interval" in page
    assert "from one seed, so there is no interval" in page


@pytest.mark.parametrize("freedom", [1, 2, 3, 9, 10, 11, 20, 40, 200])
def test_the_quantile_leaves_two_and_a_half_per_cent_above(freedom: int) -> None:
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    end, parts = quantile(freedom), 20_000
    inside = sum((1 + (end * (i + 0.5) / parts) ** 2 / freedom) ** (-(freedom + 1) / 2) for i in range(parts))
    assert inside * scale * end / parts == pytest.approx(0.475, abs=2e-4)


def test_nothing_at_all_is_not_run() -> None:
    page = Page(report.html({}))
    assert page.words.count(NOT_RUN) > 50
    for cell in (cell for row in page.rows for cell in row[1:]):
        assert cell == NOT_RUN or not re.search(r"\d", cell)
    assert report.markdown({}).startswith("# ")


def test_every_prefix_may_be_missing(figures: dict[str, Any]) -> None:
    for prefix in ("base", "alpha", "harvest", "arm.masked.", "arm.policy", "arm", "elasticity.keep0", "documents.0"):
        part = copy.deepcopy(figures)
        part["values"] = {key: value for key, value in part["values"].items() if not key.startswith(prefix)}
        assert NOT_RUN in Page(report.html(part)).words
        assert markdown_rows(report.markdown(part))


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"values": {"base.known.right": {"mean": math.nan}}}, "values.base.known.right.mean"),
        ({"values": {"base.known.right": {"mean": math.inf}}}, "values.base.known.right.mean"),
        ({"values": {"base.known.right": {"mean": 0.5, "sd": -1}}}, "values.base.known.right.sd"),
        ({"values": {"base.known.right": 0.5}}, "values.base.known.right"),
        ({"must": [{"key": "k", "name": "n", "op": "==", "bound": 1}]}, "must.0.op"),
    ],
)
def test_a_figure_that_cannot_be_used_is_named(bad: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(named)):
        report.markdown(bad)


def test_files_are_written_beside_the_figures(figures: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text(json.dumps(figures), encoding="utf-8")
    report.write(tmp_path)
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == report.markdown(figures)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == report.html(figures)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"values": {"base.known.right": {"mean": NaN}}}', "\udcff"])
def test_a_file_that_cannot_be_used_is_refused_and_nothing_is_written(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "figures.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError):
        report.write(tmp_path)
    assert not list(tmp_path.glob("report.*"))


HOSTILE = "</text></svg><script>alert(1)</script>|&\"'\\`[x](http://a) *b* \x00\ud800\u202e\n# c"


def test_no_text_becomes_markup() -> None:
    value = {"mean": 0.5, "sd": 0.1, "n": 3, "values": [0.4, 0.5, 0.6]}
    name = HOSTILE.replace(".", "")
    keys = (f"arm.{name}.{key}" for key in MEASURES)
    figures = {
        "scale": HOSTILE,
        "machine": HOSTILE,
        "steps": {HOSTILE: 1},
        "cpu_s": {HOSTILE: 1.0},
        "notes": [HOSTILE],
        "values": dict.fromkeys([*keys, f"effect.soft.{HOSTILE}", f"effect.documents.{HOSTILE}"], value),
        "must": [{"key": HOSTILE, "name": HOSTILE, "op": ">=", "bound": 1, "mean": 0.5, "sd": 0, "n": 3, "met": False}],
    }
    page, text = Page(report.html(figures)), report.markdown(figures)
    assert "script" not in page.tags
    assert page.words.count("alert(1)") > 10
    assert markdown_rows(text) == [[" ".join(cell.split()) for cell in row] for row in page.rows]
    assert not re.search(r"(?<!\\)<", text)
    assert "\n# c" not in text
    text.encode()


numbers = st.floats(-1e12, 1e12, allow_nan=False) | st.floats(0, 1) | st.sampled_from([0.0, -0.0, 5e-324, 1e-9])
stats = st.builds(
    lambda mean, sd, seeds: {"mean": mean, "sd": abs(sd), "n": max(1, len(seeds)), "values": seeds},
    numbers,
    numbers,
    st.lists(numbers, max_size=4),
)
KEYS = [
    *sorted(sample(1)["values"]),
    "arm.odd.auc",
    "alpha.x.known.right",
    "elasticity.keep7.3.p_wrong",
    "arm.",
    "effect.soft",
]


@settings(max_examples=40, deadline=None)
@given(
    values=st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=12), stats | st.none(), max_size=25),
    seeds=st.lists(st.integers(0, 99), max_size=4),
    notes=st.lists(st.text(max_size=30), max_size=2),
)
def test_any_figures_make_a_whole_report(values: dict[str, Any], seeds: list[int], notes: list[str]) -> None:
    figures = {"values": values, "seeds": seeds, "notes": notes}
    page, text = Page(report.html(figures)), report.markdown(figures)
    assert markdown_rows(text) == [[" ".join(cell.split()) for cell in row] for row in page.rows]
    for number in (float(n) for picture in page.pictures for n in coordinates(picture)):
        assert math.isfinite(number)
        assert -5 <= number <= 5000


def coordinates(picture: ElementTree.Element) -> list[str]:
    names = ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height")
    return [element.get(name, "0") for element in picture.iter() for name in names]


def labels(picture: ElementTree.Element) -> list[tuple[float, float, float, float]]:
    """The boxes of a picture's labels, by the widest letters that the pictures reckon with."""
    boxes = []
    for element in picture.iter(f"{SVG}text"):
        if element.get("transform") is None:
            wide = drawing.LETTER * len(element.text or "")
            left = (
                float(element.get("x", ""))
                - wide * {"start": 0, "middle": 0.5, "end": 1}[element.get("text-anchor", "")]
            )
            y = float(element.get("y", ""))
            boxes.append((left, y - 9, left + wide, y + 2))
    return boxes


@pytest.mark.parametrize("seeds", [1, 3])
def test_no_label_lies_on_another_or_outside_its_picture(seeds: int) -> None:
    for picture in Page(report.html(sample(seeds))).pictures:
        _, _, width, height = map(float, picture.get("viewBox", "").split())
        boxes = labels(picture)
        name = picture.get("aria-labelledby")
        for box in boxes:
            assert box[0] >= -0.5, (name, box)
            assert box[2] <= width + 0.5, (name, box)
            assert 0 <= box[1] < box[3] <= height, (name, box)
        for number, a in enumerate(boxes):
            for b in boxes[number + 1 :]:
                assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (name, a, b)


@given(st.lists(st.floats(-50, 500), min_size=1, max_size=30), st.floats(0, 200))
def test_labels_are_kept_apart_and_inside(wanted: list[float], room: float) -> None:
    high = drawing.LABEL * (len(wanted) - 1) + room
    places = drawing.apart(wanted, 0, high)
    assert all(b - a >= drawing.LABEL - 0.11 for a, b in pairwise(sorted(places)))
    assert all(-0.1 <= place <= high + 0.1 for place in places)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    assert [places[i] for i in order] == sorted(places)


@given(st.lists(st.floats(-1e12, 1e12), max_size=8))
def test_an_axis_covers_its_values_with_few_round_ticks(values: list[float]) -> None:
    made = drawing.axis("", values)
    assert made.low < made.high
    slack = 1e-8 * (made.high - made.low)
    assert all(made.low - slack <= value <= made.high + slack for value in values)
    assert 2 <= len(made.ticks) <= 9


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40))
def test_the_labels_of_a_scatter_never_overlap(places: list[tuple[float, float]]) -> None:
    points = [(f"arm{n}", Value(mean=x), Value(mean=y)) for n, (x, y) in enumerate(places)]
    head = Head(name="s", title="t", description="d")
    picture = ElementTree.fromstring(report_charts.scatter(head, ("x", "y"), points))
    rows = sorted(float(e.get("y", "")) for e in picture.iter(f"{SVG}text") if (e.text or "").startswith("arm"))
    assert len(rows) == len(places)
    assert all(b - a >= drawing.LABEL - 0.11 for a, b in pairwise(rows))
