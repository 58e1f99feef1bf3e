"""The report says what the figures say, draws them without overlaps, and says "not run" where there are none."""

from __future__ import annotations

import copy
import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.world.experiment import drawing, report, report_charts
from guard.world.experiment.report_charts import Head
from guard.world.experiment.report_figures import NOT_RUN, Value, quantile, read
from guard.world.experiment.report_measures import ARMS, EXPERT, LEFT_OUT, MEASURES
from guard.world.experiment.report_transfer import EXPERTS, OTHER
from tests.world.report_sample import Page, markdown_rows, sample

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    return sample()


@pytest.fixture(scope="module")
def page(figures: dict[str, Any]) -> Page:
    return Page(report.html(figures))


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
        if key.endswith((".tokens_a_step", "alpha.used", ".won", ".end.known.right")):
            continue  # in a sentence
        if key.startswith(("consistency.", "harvest.")):
            continue
        arm, figure = key.split(".")[1], key.rpartition(".")[2]
        if (figure in LEFT_OUT and arm not in (*EXPERTS[:2], OTHER)) or (figure in EXPERT and arm not in EXPERTS):
            continue  # says nothing about this arm
        written = f"{value['mean']:z.2f} ± {value['sd']:.2f}"
        assert written in cells or f"+{written}" in cells, key


def test_what_is_not_met_is_as_plain_as_what_is(figures: dict[str, Any], page: Page) -> None:
    outcomes = {row[0]: row[1] for row in page.rows if len(row) == 6 and row[4] in ("bar", "goal")}
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
    told = re.findall(r"^- Difference .* has an interval that includes 0: (.*)\.$", text, re.MULTILINE)
    assert len("; ".join(told).split("; ")) == sum(mean <= half for mean, half in halves)


@pytest.mark.parametrize("sign", [-1, 1])
def test_an_effect_that_is_certain_is_not_among_what_does_not_work(sign: int) -> None:
    values: dict[str, Any] = {"effect.soft.auc": {"mean": sign * 0.1, "sd": 0.01, "n": 3, "values": []}}
    assert "Difference" not in closing({"values": values})
    values["effect.soft.auc"]["sd"] = 0.1
    assert "includes 0" in closing({"values": values})


@pytest.mark.parametrize(
    ("scale", "seeds", "options"),
    [("full", [101, 102, 103], ""), ("quick", [1], " --quick"), ("full", [2, 5], " --seed 2 --seed 5")],
)
def test_the_command_is_the_one_that_was_run(scale: str, seeds: list[int], options: str) -> None:
    assert f"    guard world experiment --out DIR{options}\n" in report.markdown({"scale": scale, "seeds": seeds})


def test_one_seed_has_no_interval_and_no_error_bar() -> None:
    page = report.html(sample(1))
    assert not [cell for row in Page(page).rows for cell in row if "±" in cell]
    assert 'class="error' not in page
    assert 'class="seed' not in page
    assert "one seed: no interval" in page
    assert "is from one seed and has no interval" in page


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


@pytest.mark.parametrize("figures", [{}, sample(1), sample(3)], ids=["none", "one seed", "three seeds"])
def test_no_label_lies_on_another_or_outside_its_picture(figures: dict[str, Any]) -> None:
    for picture in Page(report.html(figures)).pictures:
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
