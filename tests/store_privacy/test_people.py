"""What a library and own patterns find: names and tickets gone, offsets right, nothing fetched, nothing unread kept."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError, MissingExtra
from guard.settings import StoreSettings, read_settings
from guard.store import people
from guard.store.people import Patterns, People, redactors
from guard.store.redactor import WITHHELD, Hit, Redactor
from tests.store_privacy.makers import settings

PRESIDIO: dict[str, Any] = {"library": "presidio"}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No socket opens; what tried to is listed."""
    tried: list[str] = []

    def refuse(*arguments: object, **_: object) -> None:
        tried.append(repr(arguments[1:] or arguments))
        raise OSError("no network in this test")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("spacy", reason="names are not tested: spaCy is missing")
    from tests.store_privacy.names import train

    return train(tmp_path_factory.mktemp("names") / "model")


def library(**changes: Any) -> Callable[[], Redactor]:
    pytest.importorskip("presidio_analyzer", reason="redaction by library is not tested: presidio-analyzer is missing")
    return redactors(settings(redaction=PRESIDIO | changes))


def test_without_settings_guards_own_patterns_alone() -> None:
    assert redactors(StoreSettings()) is Redactor


def test_a_model_finds_names_and_places_and_opens_no_socket(model: Path, offline: list[str]) -> None:
    redactor = library(model=str(model))()
    text = "Yesterday Anna Berg drove to Paris again."
    read = redactor.read(text)
    assert read.text == "Yesterday <PERSON_1> drove to <LOCATION_1> again."
    assert redactor.text("Please ask Anna Berg about Oslo first.") == "Please ask <PERSON_1> about <LOCATION_2> first."
    assert read.text[read.at(text.index("drove")) :].startswith("drove to <LOCATION_1>")
    assert offline == []


def test_without_a_model_what_has_a_form_is_found_and_no_socket_opens(offline: list[str]) -> None:
    redactor = library()()
    assert redactor.text("My phone number is 0171 2345678, or mail jane@xn--80ak6aa92e.com") == (
        "My phone number is <PHONE_1>, or mail <EMAIL_1>"
    )
    assert redactor.text("Yesterday Anna Berg drove to Paris again.") == "Yesterday Anna Berg drove to Paris again."
    assert offline == []


def test_importing_the_store_does_not_load_the_library() -> None:
    code = (
        "import sys, guard.store, guard.store.people; print({'spacy', 'presidio_analyzer', 'regex'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_message_keeps_its_form_whatever_a_finder_takes_for_a_name() -> None:
    def every_word(text: str) -> list[Hit]:
        return [(0, len(text), "PERSON")]

    message = {"role": "user", "content": "x", "Jane Roe": [{"type": "text", "text": "y"}]}
    new = Redactor(every_word).tree([message])[0]
    assert new == {
        "role": "user",
        "content": "<PERSON_1>",
        "<PERSON_2>": [{"type": "text", "text": "<PERSON_3>"}],
    }


def test_own_patterns_come_after_guards_and_before_the_library() -> None:
    pytest.importorskip("regex", reason="own patterns are not tested: regex is missing")
    own = settings(patterns=[{"name": "TICKET", "regex": r"[A-Z]{3}-\d+|sk-\w+"}]).patterns
    people_ = People([Patterns(own), lambda text: [(0, len(text), "PERSON")]])
    assert Redactor(people_).text("ABC-12") == "<TICKET_1>"
    assert Redactor(people_).text("sk-abcdefghij0123456789") == "<KEY_1>"
    assert Redactor(people_).text("Jane") == "<PERSON_1>"


HITS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9), st.sampled_from(["PERSON", "TICKET"])), max_size=8)


@given(st.text(alphabet="ab @.c1\ud800é", min_size=1, max_size=40), HITS, st.data())
def test_offsets_hold_for_whatever_a_finder_finds(text: str, found: list[Hit], data: st.DataObject) -> None:
    hits = [(start, min(start + length, len(text)), kind) for start, length, kind in found if start < len(text)]
    read = Redactor(lambda _: hits).read(text)
    a = data.draw(st.integers(0, len(text)))
    b = data.draw(st.integers(a, len(text)))
    assert (read.at(0), read.at(len(text))) == (0, len(read.text))
    assert read.at(a) <= read.at(b)
    for start, end, _ in hits:
        assert any(first <= start and end <= last for first, last, *_ in read.changes)
    if not any(a < end and start < b for start, end, *_ in read.changes):
        inside = any(start < offset < end for start, end, *_ in read.changes for offset in (a, b))
        assert inside or read.text[read.at(a) : read.at(b)] == text[a:b]


def test_a_text_that_cannot_be_read_is_withheld_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    def fails(text: str) -> list[Hit]:
        raise ValueError(f"cannot read {text}")

    finder = People([fails])
    with caplog.at_level(logging.WARNING, "guard"):
        assert Redactor(finder).text("Jane Roe lives here") == WITHHELD
        assert Redactor(finder).parts("Jane ", "Roe", "") == ((WITHHELD, "", ""), Redactor(finder).read("Jane Roe"))
    assert finder.withheld > 1
    assert [record.message for record in caplog.records] == [
        "a text could not be redacted (ValueError) and is withheld; so are others like it"
    ]
    assert Redactor(finder).text("") == ""


def test_a_pattern_that_runs_out_of_time_withholds_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("regex", reason="own patterns are not tested: regex is missing")
    monkeypatch.setattr(people, "LIMIT_S", 0.05)
    slow = People([Patterns(settings(patterns=[{"name": "SLOW", "regex": r"(a|aa)+$"}]).patterns)])
    assert Redactor(slow).text("a" * 60 + "b") == WITHHELD
    assert Redactor(slow).text("aaa") == "<SLOW_1>"


def test_a_library_that_gives_up_on_a_pattern_withholds_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    made = library()
    monkeypatch.setattr("presidio_analyzer.pattern_recognizer.REGEX_TIMEOUT_SECONDS", 0)
    assert made().text("an ordinary text") == WITHHELD


def test_a_text_longer_than_the_library_takes_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    made = library()
    assert made().text("word " * 200_001) == WITHHELD


def test_a_lone_surrogate_is_read() -> None:
    assert (
        library()().text("\ud800 my phone number is 0171 2345678 \udfff")
        == "\ud800 my phone number is <PHONE_1> \udfff"
    )


def test_several_languages_each_look() -> None:
    assert "<PHONE_1>" in library(languages=["de", "en"])().text("my phone number is 0171 2345678")


def test_only_what_is_asked_for_is_looked_for() -> None:
    text = "My phone number is 0171 2345678 since 2024-01-15."
    assert library(entities=["DATE_TIME"])().text(text) == "My phone number is 0171 2345678 since <DATE_TIME_1>."
    assert library(min_score=0.9)().text(text) == text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"entities": ["PERSON"]}, "'PERSON' is not found in en.*names and places need store.redaction.model"),
        ({"entities": ["SHOE_SIZE"]}, "'SHOE_SIZE' is not found"),
        ({"model": "no_such_model"}, "'no_such_model' is no installed spaCy package.*pip install"),
        ({"languages": ["qq"]}, "cannot read 'qq'"),
    ],
)
def test_what_the_library_cannot_do_is_refused(changes: dict[str, Any], said: str, offline: list[str]) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        library(**changes)
    assert "\n" not in str(caught.value)
    assert offline == []


@pytest.mark.parametrize(
    ("missing", "store"),
    [
        ("presidio_analyzer", {"redaction": PRESIDIO}),
        ("spacy", {"redaction": PRESIDIO}),
        ("regex", {"patterns": [{"name": "TICKET", "regex": "a"}]}),
    ],
)
def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, missing: str, store: Any) -> None:
    monkeypatch.delitem(sys.modules, "guard.store.presidio", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=rf"needs '{missing}'; pip install 'premise-guard\[redaction\]'"):
        redactors(settings(**store))


def test_a_damaged_model_and_one_of_another_language_are_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "config.cfg").write_text("[nlp]\nlang = 3\n")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        library(model=str(tmp_path))
    with pytest.raises(ConfigError, match="speaks 'en'; add it to"):
        library(model=str(model), languages=["de"])


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ({"patterns": [{"name": "TICKET", "regex": "("}]}, "no regular expression"),
        ({"patterns": [{"name": "TICKET", "regex": "a*"}]}, "matches the empty text"),
        ({"patterns": [{"name": "TICKET", "regex": r"\b"}]}, "matches the empty text"),
        ({"patterns": [{"name": "ticket", "regex": "a"}]}, "'ticket'"),
        ({"patterns": [{"name": "TICKET"}]}, "regex"),
        ({"redaction": {}}, "library"),
        ({"redaction": {"library": "presido"}}, "presido"),
        ({"redaction": PRESIDIO | {"entities": []}}, "entities"),
        ({"redaction": PRESIDIO | {"min_score": 2}}, "min_score"),
        ({"redaction": PRESIDIO | {"languages": []}}, "languages"),
        ({"redaction": PRESIDIO | {"entity": ["PERSON"]}}, "entity"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_on_one_line(tmp_path: Path, store: Any, said: str) -> None:
    file = tmp_path / "guard.yaml"
    file.write_text(json.dumps({"models": [{"name": "m"}], "store": store}))
    with pytest.raises(ConfigError, match=said) as caught:
        read_settings(file)
    assert "\n" not in str(caught.value)


def test_a_models_folder_stands_where_the_file_does(tmp_path: Path) -> None:
    file = tmp_path / "guard.yaml"
    for named, meant in (("./names", str(tmp_path / "names")), ("en_core_web_sm", "en_core_web_sm")):
        file.write_text(f"models: [{{name: m}}]\nstore: {{redaction: {{library: presidio, model: {named}}}}}\n")
        redaction = read_settings(file).store.redaction
        assert redaction is not None
        assert redaction.model == meant
