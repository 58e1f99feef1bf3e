"""The pictures are well-formed, standalone and show what was measured."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

from guard.evaluation.plots import precision_recall, reliability, score_bins
from guard.evaluation.ranking import Ranking
from tests.evaluation.labelled import played, row

SVG = "{http://www.w3.org/2000/svg}"
TEXT = "aa bb. cc dd. ee ff."


def places(picture: str) -> list[tuple[float, float]]:
    """The line's points, in shares of the frame, to a thousandth."""
    (line,) = Xml.fromstring(picture).findall(f"{SVG}polyline")
    pairs = [pair.split(",") for pair in line.attrib["points"].split()]
    return [(round((float(x) - 56) / 300, 3), round(1 - (float(y) - 36) / 300, 3)) for x, y in pairs]


def words(picture: str) -> list[str]:
    return [text.text or "" for text in Xml.fromstring(picture).iter(f"{SVG}text")]


def test_a_precision_recall_curve_has_a_point_for_each_threshold() -> None:
    ranking = Ranking([0.9, 0.7, 0.3, 0.1], [True, False, True, False])
    curve = ranking.curve(np.ones(4))
    assert curve is not None
    picture = precision_recall("a <title> & more\x1b", curve, (0.5, 0.25))
    assert places(picture) == [(0.5, 1.0), (0.5, 0.5), (1.0, 0.667), (1.0, 0.5)]
    assert {"a <title> & more?", "recall", "precision", "policy", "0.2", "1"} <= set(words(picture))
    assert "policy" not in words(precision_recall("t", curve, None))
    assert not re.search(r"href|script|url\(|import", picture)


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    scores = [n / 5000 for n in range(5000)]
    curve = Ranking(scores, [n % 2 == 0 for n in range(5000)]).curve(np.ones(5000))
    assert curve is not None
    shown = places(precision_recall("t", curve, (0.9, 0.5)))
    assert len(shown) < 500
    assert shown[-1] == (1.0, 0.5)


def test_a_reliability_diagram_holds_scores_against_the_share_that_is_wrong() -> None:
    rows = [
        played(row(TEXT, wrong=True, spans=[(0, 6)]), (0, 6, 1.0), (7, 13, 0.62), (14, 20, 0.0)),
        played(row(TEXT), (0, 6, 0.0), (7, 13, 0.68), (14, 20, 0.0)),
        played(row(TEXT, wrong=True), (0, 6, 0.3)),  # nobody says where
        played(row(TEXT, wrong=True, spans=[(0, 6)], unknown=(6, 20)), (0, 6, 0.98), (7, 13, 0.5)),
    ]
    bins = score_bins(rows)
    assert bins == [(0.0, 0.0, 3), (pytest.approx(0.65), 0.0, 2), (pytest.approx(0.99), 1.0, 2)]
    picture = reliability("t", bins)
    assert len(places(picture)) == len(Xml.fromstring(picture).findall(f"{SVG}circle")) == 3
    assert Xml.fromstring(reliability("t", [])).find(f"{SVG}polyline") is None
