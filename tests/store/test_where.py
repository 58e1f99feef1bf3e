"""Filters as they are written on a command line."""

from __future__ import annotations

import datetime

import pytest

from guard.errors import ConfigError
from guard.store import Filter


def test_conditions_become_a_filter() -> None:
    given = ["check=grounding", "score>=0.9", "score <= 1", "since=2026-01-31", "until=5e9", "late=true", "text=a = b"]
    assert Filter.where(given) == Filter(
        check="grounding",
        score_min=0.9,
        score_max=1.0,
        since=datetime.datetime(2026, 1, 31).timestamp(),
        until=5e9,
        late=True,
        text="a = b",
    )
    assert Filter.where([]) == Filter()


def test_every_field_can_be_written() -> None:
    given = ["outcome=open", "policy=p", "model=m", "channel=content", "correct=retract", "review=disputed"]
    given += ["session=s", "conversation=c", "user=u", "late=false"]
    found = Filter.where(given)
    assert [getattr(found, one.partition("=")[0]) for one in given[:-1]] == [
        one.partition("=")[2] for one in given[:-1]
    ]
    assert found.late is False


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("grounding", "write FIELD=VALUE.*the fields are check"),
        ("chek=x", "write FIELD=VALUE"),
        ("limit=3", "write FIELD=VALUE"),
        ("check>=x", "write FIELD=VALUE"),
        ("score=0.5", "score>=X"),
        ("", "write FIELD=VALUE"),
        ("check=", "there is no value"),
        ("outcome=pleased", "'pleased' is none of corrected, relapsed, abandoned, open"),
        ("late=perhaps", "neither true nor false"),
        ("score>=2", "no score from 0 to 1"),
        ("score>=nan", "no score from 0 to 1"),
        ("since=yesterday", "neither a date"),
        ("since=inf", "neither a date"),
        ("text=" + "a " * 501, "1000 characters at most"),
    ],
)
def test_what_cannot_be_understood_says_what_can(condition: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Filter.where([condition])
    assert repr(condition) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_field_is_asked_once() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        Filter.where(["check=a", "check=b"])
