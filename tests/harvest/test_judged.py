"""What reviewers say of statements that guard let pass, and what becomes of it in the rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guard.cli.exporting import export_rows
from guard.core.records import Revision
from tests.exporters.sessions import Script, supervised
from tests.harvest.logs import filled, judged, session


def exported(folder: Path, format_: str, **more: Any) -> str:
    """The rows of the log in a folder, with none left out as said before."""
    out = folder / "rows.jsonl"
    export_rows(format_, out, f"sqlite:///{folder}/guard.db", dedupe="none", **more)
    return out.read_text(encoding="utf-8")


def test_they_label_steps(tmp_path: Path) -> None:
    with filled(tmp_path, [], map(session, (12, 6, 3))) as database:
        judged(database, "x00003.0#1", "rejected")
        judged(database, "x00006.0#1", "confirmed")
    out = exported(tmp_path, "stepwise", unreviewed=True)
    found = {row["id"].partition(".")[0]: row["labels"] for row in map(json.loads, out.splitlines())}
    assert found["x00003"] == [True, False]  # clean, and missed
    assert found["x00006"] == [True, True]  # flagged, and rightly let pass
    assert found["x00012"] == [True, False]  # flagged, and nobody has looked at it


def test_what_a_reviewer_words_anew_is_no_right_step(tmp_path: Path) -> None:
    said: list[Script] = [[("content", "It is bad. ")], [("content", " So Canberra.")]]
    whole, (cut,) = supervised(said, ["bad"], content="interrupt")
    for name, revised in (("same", None), ("other", Revision(correction="It is Perth."))):
        (tmp_path / name).mkdir()
        with filled(tmp_path / name, [replace(cut, review="confirmed", revised=revised)], [whole]):
            pass
        rows = [json.loads(line) for line in exported(tmp_path / name, "stepwise", unreviewed=True).splitlines()]
        assert any(True in row["labels"] for row in rows) is (revised is None)


def _ruled(folder: Path, ruling: str) -> str:
    """A log of one corrected turn. A reviewer has said something of a statement behind the correction: its text."""
    folder.mkdir()
    said: list[Script] = [[("content", "It is Sydney. ")], [("content", " So Canberra. It is small.")]]
    whole, (cut,) = supervised(said, ["bad"], content="interrupt")
    with filled(folder, [replace(cut, review="confirmed")], [whole]) as database:
        (passed,) = database.segments(9, "clean")
        judged(database, passed.id, ruling)
        return passed.segment.text.strip()


@pytest.mark.parametrize("format_", ["prompt_completion", "documents", "preference", "clean", "openai", "axolotl"])
def test_what_reviewers_say_was_missed_is_no_target(format_: str, tmp_path: Path) -> None:
    for ruling, there in (("confirmed", True), ("rejected", False)):
        text = _ruled(tmp_path / ruling, ruling)
        at = "before" if format_ == "preference" else None
        assert (text in exported(tmp_path / ruling, format_, at=at)) is there
