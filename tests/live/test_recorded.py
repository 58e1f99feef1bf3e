"""Recorded answers through a real guard: interrupted just where they are wrong, as `guard eval` says they would be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from guard.evaluation.rows import Row, read_files
from tests.live.conftest import ENVIRONMENT, PATIENCE_S, ROOT
from tests.live.recorded import Told, compared, evaluated, figures, play

pytestmark = pytest.mark.xdist_group("live")
BRIDGE = (
    "passage 1: The Arlen Bridge was opened in 1932 by Mayor Dora Finch. It is 412 metres long and carries four lanes"
    " of traffic.\n\npassage 2: Repairs to the bridge took 15 months and did not close the footpath. Cyclists may use"
    " the northern side at any time. A toll of 2 pounds is paid by lorries alone."
)
DOOR = (
    'The following record describes a café: {"name": "Blue Door", "WiFi": "no", "parking": "street", "stars": 4.0,'
    ' "city": "Santa Barbara", "outdoor_seating": true, "good_for": ["lunch", "dinner"], "noise": "quiet"}'
)
NUMBER = "Repairs to the bridge took 18 months and did not close the footpath."
NAME = "The Arlen Bridge was opened in 1932 by Mayor Nora Finch."
INVENTED = "Its copper towers were designed by the Danish architect Henrik Solberg, who also built a cathedral in Oslo."
FIELD = "It offers free WiFi."
ANSWERS = {
    "number": (BRIDGE, f"The bridge is 412 metres long. {NUMBER} Lorries pay a toll of 2 pounds.", [NUMBER]),
    "name": (BRIDGE, f"{NAME} It carries four lanes of traffic.", [NAME]),
    "invented": (BRIDGE, f"It carries four lanes. {INVENTED} {NUMBER}", [INVENTED, NUMBER]),
    "field": (DOOR, f"The Blue Door is in Santa Barbara. {FIELD} It has outdoor seating.", [FIELD]),
    "right": (BRIDGE, "Mayor Dora Finch opened the bridge in 1932. Only lorries pay the toll of 2 pounds.", []),
    "untold": (BRIDGE, "The passages do not mention who designed the bridge. Is there anything else?", []),
}


def write(path: Path) -> Path:
    """The answers as labelled rows."""
    lines = []
    for key, (context, response, wrong) in ANSWERS.items():
        spans = [{"start": response.index(part), "end": response.index(part) + len(part)} for part in wrong]
        row = {"id": key, "context": context, "question": "What do you know of it?", "response": response}
        lines.append(json.dumps(row | {"hallucinated": bool(wrong), "spans": spans}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    (file,) = read_files("grounded", [write(tmp_path_factory.mktemp("recorded") / "rows.jsonl")])
    return list(file.rows)


@pytest.fixture(scope="module")
def told(rows: list[Row]) -> dict[str, Told]:
    return {str(each.row.id): each for each in play(rows, "grounded")}


def said(each: Told) -> list[str]:
    return [each.row.text[start:end] for start, end in each.cuts]


@pytest.mark.parametrize("key", ANSWERS)
def test_an_answer_is_cut_at_its_first_wrong_statement_and_nowhere_else(told: dict[str, Told], key: str) -> None:
    assert said(told[key]) == ANSWERS[key][2][:1]


@pytest.mark.parametrize("key", [key for key, (_, _, wrong) in ANSWERS.items() if wrong])
def test_the_client_sees_what_stood_before_the_claim_and_never_the_claim(told: dict[str, Told], key: str) -> None:
    each = told[key]
    before = each.row.text[: each.cuts[0][0]].rstrip()
    assert each.text.startswith(before)
    assert said(each)[0] not in each.text
    assert each.text[len(before) :].strip()
    assert len(each.reasons) == 1


@pytest.mark.parametrize("key", [key for key, (_, _, wrong) in ANSWERS.items() if not wrong])
def test_a_faultless_answer_comes_as_it_is(told: dict[str, Told], key: str) -> None:
    assert (told[key].text, told[key].reasons) == (told[key].row.text, ())


def test_what_is_served_agrees_with_the_evaluation(rows: list[Row], told: dict[str, Told]) -> None:
    result = compared(list(told.values()), evaluated(rows, "grounded"), None)
    assert result["first_elsewhere"] == []
    assert result["served"] == result["eval_first"]
    assert result["served"]["bad_interrupted"] == 4
    assert result["served"]["in_spans"] == 1.0
    assert result["served"]["false_per_1000_clean_tokens"] == 0
    assert result["eval"]["interruptions"] == 5


def test_where_the_recording_goes_on_a_second_wrong_statement_is_cut_too(rows: list[Row]) -> None:
    wanted = [row for row in rows if row.id in ("number", "right")]
    number, right = play(wanted, "grounded", go_on=True)
    assert (said(number), said(right)) == ([NUMBER], [])
    assert number.text.startswith("The bridge is 412 metres long.")
    assert number.text.endswith("Lorries pay a toll of 2 pounds.")


def test_a_false_interruption_counts_by_the_clean_tokens(rows: list[Row]) -> None:
    right = next(row for row in rows if row.id == "right")
    counted = figures([right], [[(0, 43)]], None)
    tokens = 18  # Mayor Dora Finch opened the bridge in 1932 . Only lorries pay the toll of 2 pounds .
    assert counted["false_per_1000_clean_tokens"] == round(1000 / tokens, 3)
    assert (counted["good_interrupted"], counted["in_spans"]) == (1, 0.0)


def test_the_command_prints_both(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.live.recorded", str(write(tmp_path / "rows.jsonl")), "--limit", "3"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["served"]["rows"] == 3
    assert printed["first_elsewhere"] == []
