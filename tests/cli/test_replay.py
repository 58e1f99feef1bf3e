"""`guard replay`: what is counted, shown and written, over the log of a served app."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from guard.cli.eval_models import Asked
from guard.cli.judging import judgement
from guard.cli.replay import Wanted, replay
from guard.core.records import Ruling
from guard.errors import ConfigError
from guard.store import Database, Filter
from tests.server.live import answer, policy_file, serving, settings

BAD = {"text": "BAD", "reason": "that is wrong.", "correction": "It is \x1b[2JGOOD.", "score": 0.9}
ODD = {"text": "ODD", "reason": "that is odd.", "correction": "It is even.", "score": 0.6}
SAID = ("Fine. One BAD. Two.", "Fine. Three ODD. Four.", "Fine. Five BAD. Six.")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sessions: two with an interruption, one with a statement that was flagged and let pass."""
    folder = tmp_path_factory.mktemp("replay")
    policy = policy_file(folder, "two", checks=[{"check": "phrase", "phrases": [BAD, ODD]}])
    with serving(settings(folder, policies={"default": policy})) as live:
        for text in SAID:
            live.say(answer([{"content": text}, {"finish": "stop"}]))
            live.post(user=text[6:9]).raise_for_status()
    return folder / "guard.db"


@pytest.fixture
def log(filled: Path, tmp_path: Path) -> Database:
    (tmp_path / "guard.db").write_bytes(filled.read_bytes())
    found = Database(f"sqlite:///{tmp_path / 'guard.db'}")
    found.open()
    return found


def policy(folder: Path, interrupt_at: float, flag_at: float = 0.5) -> str:
    use = {"check": "phrase", "phrases": [BAD, ODD], "flag_at": flag_at, "interrupt_at": interrupt_at}
    return policy_file(folder, "new", checks=[use])


def document(log: Database, file: str, capsys: pytest.CaptureFixture[str], **wanted: Any) -> dict[str, Any]:
    replay(file, log.url, Wanted(as_json=True, **wanted), Asked())
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def judge(log: Database, text: str, ruling: Ruling) -> str:
    """Judge the statement with this text; returns its subject."""
    for subject in log.queue("ann", 100):
        cut, segment = log.interruption(subject.id), log.segment(subject.id)
        claim = cut.interruption.claim.text if cut else segment.segment.text if segment else ""
        if text in claim:
            log.judge(judgement(subject.id, ruling, "ann"))
            return subject.id
    raise AssertionError(text)


def test_the_same_policy_changes_nothing(log: Database, filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(log, str(filled.parent / "two.yaml"), capsys)
    assert (found["sessions"], found["replayed"], found["same"], found["assumed"]) == (3, 3, 3, 0)
    assert found["examples"] == []


def test_a_lower_threshold_catches_what_reviewers_say_was_missed(
    log: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = judge(log, "ODD", "rejected")
    found = document(log, policy(tmp_path, 0.55), capsys)
    assert found["changes"] == {"more": 1, "less": 0, "reworded": 0, "observed": 0, "otherwise": 0, "undecided": 0}
    assert (found["reviewed"]["missed_caught"], found["reviewed"]["missed"]) == (1, 1)
    assert found["checks"] == {"phrase": {"more": 1}}
    (example,) = found["examples"]
    assert (example["subject"], example["review"], example["claim"]) == (subject, "rejected", " Three ODD.")


def test_a_higher_one_loses_what_was_right_and_avoids_what_was_not(
    log: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(log, "One BAD", "confirmed")
    judge(log, "Five BAD", "rejected")
    out = tmp_path / "changes.jsonl"
    found = document(log, policy(tmp_path, 0.95), capsys, out=out)
    assert (found["reviewed"]["confirmed_lost"], found["reviewed"]["rejected_avoided"]) == (1, 1)
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert written == found["examples"]
    assert {each["kind"] for each in written} == {"less"}


def test_people_are_shown_a_line_of_difference_and_nothing_that_steers_their_terminal(
    log: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(tmp_path / "guard.db") as file:  # as an older guard wrote them
        file.execute("UPDATE session SET record = json_remove(record, '$.provenance.checks')")
    replay(policy(tmp_path, 0.95), log.url, Wanted(), Asked())
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "policy new: 3 of 3 sessions replayed" in said
    assert "2 was interrupted and would not be" in said
    assert "    One BAD.\n    - retract: It is \ufffd[2JGOOD.\n" in said
    assert "note: 3 sessions were recorded under policies that are not known here" in said


def test_a_named_policy_is_known_and_changed_parameters_run_live(
    log: Database, filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = policy_file(tmp_path, "new", checks=[{"check": "phrase", "phrases": [BAD, ODD, BAD | {"text": "Fine"}]}])
    replay(other, log.url, Wanted(as_json=True), Asked(), recorded=[str(filled.parent / "two.yaml")])
    found = json.loads(capsys.readouterr().out)
    assert (found["assumed"], found["changes"]["more"]) == (0, 3)
    assert found["behind"] == 2
    assert found["checks"]["phrase"]["run"] == 3


def test_conditions_and_a_limit_choose_sessions(
    log: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert document(log, policy(tmp_path, 0.95), capsys, limit=2)["sessions"] == 2
    (cut, *_) = log.iter_interruptions(Filter())
    key = cut.provenance.session
    assert document(log, policy(tmp_path, 0.95), capsys, where=[f"session={key}"])["sessions"] == 1


@pytest.mark.parametrize(
    ("where", "sessions"),
    [
        (["check=phrase"], 3),
        (["check=grounding"], 0),
        (["text=five"], 1),
        (["text=five", "user=Fiv"], 1),
        (["text=five", "user=One"], 0),
        (["score>=0.95"], 0),
        (["score<=0.95"], 3),
        (["score<=0.7"], 1),
        (["score>=0.7"], 2),
        (["text=three od"], 1),
        (["text=three odd", "channel=content", "score>=0.6", "score<=0.6", "check=phrase"], 1),
        (["text=three od", "channel=reasoning"], 0),
        (["text=thre odd"], 0),
        (["text=..."], 0),
        (["text=odd", "late=false"], 0),
        (["review=rejected"], 1),
        (["check=phrase", "review=rejected", "user=Thr"], 1),
        (["outcome=corrected", "correct=retract", "late=false", "channel=content"], 2),
        (["review=confirmed"], 1),
        (["check=phrase", "since=2001-01-01", "until=2999-01-01"], 3),
        (["check=phrase", "since=2999-01-01"], 0),
    ],
)
def test_what_a_session_does_not_have_chooses_those_that_hold_it(
    log: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str], where: list[str], sessions: int
) -> None:
    judge(log, "One BAD", "confirmed")
    judge(log, "Three ODD", "rejected")
    assert document(log, policy(tmp_path, 0.95), capsys, where=where)["sessions"] == sessions
    assert document(log, policy(tmp_path, 0.95), capsys, where=where, limit=1)["sessions"] == min(sessions, 1)


def test_conditions_that_leave_nothing_are_explained(
    log: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay(policy(tmp_path, 0.95), log.url, Wanted(where=["check=grounding"]), Asked())
    assert "no session on record is like that; check, " in capsys.readouterr().out


def test_how_many_more_there_are_is_told(log: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay(policy(tmp_path, 0.95), log.url, Wanted(), Asked())
    assert " more; " not in capsys.readouterr().out
    every = policy_file(tmp_path, "every", checks=[{"check": "phrase", "phrases": [BAD | {"text": "Fine"}]}])
    with sqlite3.connect(tmp_path / "guard.db") as file:
        (columns,) = file.execute("SELECT group_concat(name) FROM pragma_table_info('session') WHERE name != 'seq'")
        names = columns[0]
        for number in range(4):
            values = names.replace("id,", f"id || '{number}',", 1).replace(
                "record", f"json_set(record, '$.provenance.session', id || '{number}')"
            )
            file.execute(f"INSERT INTO session ({names}) SELECT {values} FROM session WHERE length(id) < 42 LIMIT 3")
    found = document(log, every, capsys)
    replay(every, log.url, Wanted(), Asked())
    more = found["changes"]["more"] - 5
    assert more > 0
    assert f"  and {more} more; --out FILE writes all\n" in capsys.readouterr().out


# What was recorded under `observe`


@pytest.fixture
def observed(tmp_path: Path) -> Database:
    """Four sums under the shipped `observe`, one of them right."""
    with serving(settings(tmp_path, policies={"default": "observe"})) as live:
        for text in ("12 * 4 = 46.", "3 + 4 = 8.", "5 + 4 = 9.", "6 + 6 = 13."):
            live.say(answer([{"content": f"So {text} Done."}, {"finish": "stop"}]))
            live.post().raise_for_status()
    found = Database(f"sqlite:///{tmp_path / 'guard.db'}")
    found.open()
    return found


def test_what_was_observed_would_be_interrupted(observed: Database, capsys: pytest.CaptureFixture[str]) -> None:
    judge(observed, "= 46", "rejected")
    judge(observed, "= 8", "confirmed")
    found = document(observed, "default", capsys)
    assert {kind: times for kind, times in found["changes"].items() if times} == {"more": 3}
    reviewed = {name: times for name, times in found["reviewed"].items() if times}
    assert reviewed == {"missed": 1, "missed_caught": 1, "right_interrupted": 1}
    assert document(observed, "observe", capsys)["same"] == found["sessions"]


def test_what_was_observed_and_is_flagged_no_more_was_never_interrupted(
    observed: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(observed, "= 46", "rejected")
    judge(observed, "= 8", "confirmed")
    nothing = policy_file(tmp_path, "nothing", checks=[{"check": "phrase", "phrases": [BAD]}])
    found = document(observed, nothing, capsys)
    assert {kind: times for kind, times in found["changes"].items() if times} == {"observed": 3}
    reviewed = {name: times for name, times in found["reviewed"].items() if times}
    assert reviewed == {"missed": 1, "missed_lost": 1}
    replay(nothing, observed.url, Wanted(), Asked())
    said = capsys.readouterr().out
    assert "was interrupted and would not be" not in said
    assert "3 is only observed: flagged then or now, and interrupted neither then nor now" in said


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(where=["colour=red"]), "colour=red"),
        (Wanted(out=Path("/nowhere/at/all.jsonl")), "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(log: Database, wanted: Wanted, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        replay("default", log.url, wanted, Asked())
    assert "\n" not in str(error.value)
