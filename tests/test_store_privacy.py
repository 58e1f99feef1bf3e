"""What may be written down: redaction and its offsets, media, and nothing at all."""

from __future__ import annotations

import base64
import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.core.records import InterruptionRecord, Provenance, SessionRecord
from guard.core.types import Claim, Closing, Finding, Interruption, Segment, Summary, Token, Verdict
from guard.store import Database, privacy
from guard.store.codec import encode
from guard.store.media import strip
from guard.store.redactor import Redactor
from tests.store_privacy.makers import BOTH, made

SECRETS = {
    "EMAIL": "jane.roe@example.org",
    "PHONE": "+49 170 1234567",
    "CARD": "4111 1111 1111 1111",
    "IP": "10.11.12.13",
    "KEY": "sk-abcdefghij0123456789",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "ID": "078-05-1120",
}


def provenance(**changes: Any) -> Provenance:
    source = Provenance(
        session="s1",
        started=1.0,
        conversation="c",
        user="",
        model="m",
        policy_model="pm",
        backend="scripted",
        policy="default",
        policy_hash="h",
        messages=[{"role": "user", "content": "hello"}],
    )
    return dataclasses.replace(source, **changes)


def interruption(kept: str, claim: str, discarded: str = "", **changes: Any) -> Interruption:
    cut = Interruption(
        id="s1.0.1",
        choice=0,
        number=1,
        attempt=0,
        correct="interrupt",
        late=False,
        claim=Claim(channel="content", start=len(kept), end=len(kept) + len(claim), text=claim),
        kept={"content": kept},
        discarded={"content": discarded},
        put_in=" No.",
        reason="r",
        correction="c",
        check="phrase",
        verdicts=(),
        delay=0,
        tokens_wasted=0,
    )
    return dataclasses.replace(cut, **changes)


def filled(kind: Any, secret: str) -> Any:
    """A value of this type with the secret in every place that can hold text, so that no field is forgotten."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = [f for f in dataclasses.fields(kind) if f.name not in NAMES]
        given = {f.name: filled(hints[f.name], secret) for f in fields}
        named = {f.name: "name" for f in dataclasses.fields(kind) if f.name in NAMES and hints[f.name] is str}
        return kind(**given, **({"id": 1} if hints.get("id") is int else {}), **named)
    if kind is Any:
        return [{"role": "user", "content": secret, secret: [{"type": "text", "text": f"x {secret}"}]}, secret]
    if kind is str:
        return f"It is {secret}."
    if origin is typing.Literal:
        return "flagged" if "flagged" in arguments else arguments[0]
    if origin is tuple:
        inner = arguments[:-1] if arguments[-1] is ... else arguments
        return tuple(filled(argument, secret) for argument in inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        key = arguments[0] if typing.get_origin(arguments[0]) is typing.Literal else None
        return {filled(key, secret) if key else "note": filled(arguments[1], secret)}
    if arguments:
        return filled(arguments[0], secret)
    return {int: 3, float: 0.5, bool: True}[kind]


NAMES = {"id", "session", "model", "policy_model", "backend", "policy", "policy_hash", "check", "checks", "version"}
"""Fields that name a thing of ours: no client's and no model's text."""


def stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@BOTH
@pytest.mark.parametrize("prompts", ["redacted", "none"])
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_no_planted_secret_reaches_the_file(tmp_path: Path, prompts: privacy.Prompts, secret: str, maker: str) -> None:
    record = dataclasses.replace(filled(InterruptionRecord, secret), closing=None, version=1)
    session = dataclasses.replace(filled(SessionRecord, secret), version=1)
    database = Database(f"sqlite:///{tmp_path}/guard.db", redactor=made(maker))
    database.open()
    database.add_interruption(record, prompts)
    database.close_interruptions([filled(Closing, secret)])
    database.amend("name", counterfactual=f"or {secret}")
    assert database.add_session(session, 0, prompts)
    assert b"name" in stored(tmp_path)
    assert secret.encode() not in stored(tmp_path)
    database.close()
    assert secret.encode() not in stored(tmp_path)


def test_full_keeps_text_and_the_test_above_can_fail(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/guard.db")
    database.open()
    database.add_interruption(dataclasses.replace(filled(InterruptionRecord, "jane.roe@example.org"), version=1))
    database.close()
    assert b"jane.roe@example.org" in stored(tmp_path)


def test_none_keeps_no_text_at_all() -> None:
    word = "zanzibar"
    for kind, keep in ((InterruptionRecord, privacy.interruption), (SessionRecord, privacy.session)):
        assert word not in encode(keep(filled(kind, word), "none", Redactor()))


@BOTH
@pytest.mark.parametrize(("kind", "secret"), SECRETS.items())
def test_a_value_has_one_placeholder(kind: str, secret: str, maker: str) -> None:
    redactor = made(maker)()
    assert redactor.text(f"a {secret} b {secret}, c") == f"a <{kind}_1> b <{kind}_1>, c"
    assert redactor.text(secret) == f"<{kind}_1>"


@BOTH
def test_placeholders_tell_values_apart_and_forms_together(maker: str) -> None:
    redactor = made(maker)()
    assert redactor.text("a@b.org c@d.org A@B.org") == "<EMAIL_1> <EMAIL_2> <EMAIL_1>"
    assert redactor.text("4111 1111 1111 1111 4111-1111-1111-1111") == "<CARD_1> <CARD_1>"


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        "17 * 3 = 51, and 1,234,567 is not 1.5e10",
        "on 2024-01-15 at 12:30:45",
        "a[::2] and std::vector and v1.2.3",
        "4111 1111 1111 1112 fails its check digit",
        "pages 100-200 and 555-1234",
    ],
)
def test_ordinary_numbers_stay(text: str, maker: str) -> None:
    assert made(maker)().text(text) == text


@BOTH
@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Authorization: Bearer abcdef0123456789xyz", "abcdef0123456789xyz"),
        ("postgres://bob:hunter2@db/x", "hunter2"),
        ('{"password": "hunter22"}', "hunter22"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
        ("-----BEGIN PRIVATE KEY-----\nMIIabc", "MIIabc"),
        ("see data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==", "iVBOR"),
        ("at 2001:db8::8a2e:370:7334 now", "8a2e"),
        ("call (555) 123-4567", "123-4567"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdef", "abcdef"),
    ],
)
def test_other_forms_go(text: str, gone: str, maker: str) -> None:
    assert gone not in made(maker)().text(text)


def test_numbers_that_are_none_are_not_tried_in_every_way() -> None:
    """A run of digits could be parted into a number's groups in thousands of ways; every one was tried here."""
    text = "+1111111111111111111x " * 60_000
    assert Redactor().text(text) == text
    assert Redactor().text("+1111111111111111111.x") == "<PHONE_1>.x"


@BOTH
@settings(deadline=None)  # the library's first text takes long
@given(st.lists(st.sampled_from([*SECRETS.values(), "plain ", "a ", ". ", "é"]), max_size=8), st.data())
def test_offsets_move_with_the_text(maker: str, parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    redacted = made(maker)().read(text)
    a = data.draw(st.integers(0, len(text)))
    b = data.draw(st.integers(a, len(text)))
    assert redacted.at(0) == 0
    assert redacted.at(len(text)) == len(redacted.text)
    assert redacted.at(a) <= redacted.at(b)
    inside = any(start < offset < end for start, end, *_ in redacted.changes for offset in (a, b))
    if not inside and not any(a < end and start < b for start, end, *_ in redacted.changes):
        assert redacted.text[redacted.at(a) : redacted.at(b)] == text[a:b]


@BOTH
def test_spans_of_claim_and_finding_are_moved(maker: str) -> None:
    kept, claim = "Write to a.long.name@example.org. ", "Or to b@c.de, she is 99 years old."
    start = claim.index("99")
    finding = Finding(score=1, start=start, end=start + 2)
    verdict = Verdict(segment=0, check="x", version="1", status="flagged", findings=(finding,))
    cut = interruption(kept, claim, " And more.", verdicts=(verdict,))
    record = InterruptionRecord(interruption=cut, provenance=provenance(), at=1.0, delay_s=0)
    new = privacy.interruption(record, "redacted", made(maker)()).interruption
    channel = new.kept["content"] + new.claim.text + new.discarded["content"]
    assert channel == "Write to <EMAIL_1>. Or to <EMAIL_2>, she is 99 years old. And more."
    assert channel[new.claim.start : new.claim.end] == new.claim.text
    moved = new.verdicts[0].findings[0]
    assert new.claim.text[moved.start : moved.end] == "99"


@BOTH
def test_a_value_across_the_claims_border_is_found(maker: str) -> None:
    cut = interruption("mail jane@exam", "ple.org is hers.")
    record = InterruptionRecord(interruption=cut, provenance=provenance(), at=1.0, delay_s=0)
    new = privacy.interruption(record, "redacted", made(maker)()).interruption
    assert (new.kept["content"], new.claim.text) == ("mail <EMAIL_1>", " is hers.")


@BOTH
def test_tokens_go_and_segments_stay_in_place(maker: str) -> None:
    text = "Mail a@b.org now. It is 12."
    segments = (
        Segment(id=1, channel="content", start=0, end=17, text=text[:17], attempt=0),
        Segment(id=2, channel="content", start=17, end=len(text), text=text[17:], attempt=0),
        Segment(id=3, channel="content", start=17, end=30, text=" Thrown a@b.org", attempt=0),
    )
    finding = Finding(score=1, start=7, end=9)
    verdicts = (Verdict(segment=2, check="x", version="1", status="flagged", findings=(finding,)),)
    summary = Summary(
        choice=0,
        finish_reason="stop",
        segments=segments,
        verdicts=verdicts,
        text={"content": text},
        interruptions=0,
        discarded_tokens=0,
        unscanned=0,
    )
    record = SessionRecord(provenance=provenance(), ended=2.0, choices=(summary,), events=({"text": "a@b"},))
    new = privacy.session(record, "redacted", made(maker)())
    choice = new.choices[0]
    assert choice.text["content"] == "Mail <EMAIL_1> now. It is 12."
    for segment in choice.segments[:2]:
        assert choice.text["content"][segment.start : segment.end] == segment.text
    assert choice.segments[2].text == " Thrown <EMAIL_1>"
    moved = choice.verdicts[0].findings[0]
    assert choice.segments[1].text[moved.start : moved.end] == "12"
    assert new.events == ()

    claim = Claim(channel="content", start=0, end=3, text="abc", tokens=(Token(id=1, text="abc"),))
    cut = dataclasses.replace(interruption("", "abc"), claim=claim)
    old = InterruptionRecord(interruption=cut, provenance=provenance(), at=1.0, delay_s=0)
    assert privacy.interruption(old, "redacted", made(maker)()).interruption.claim.tokens == ()


@pytest.mark.parametrize("prompts", ["redacted", "none"])
def test_tokens_of_what_followed_are_kept_in_full_alone(tmp_path: Path, prompts: privacy.Prompts) -> None:
    told = Token(id=1, text="Mail", logprob=-0.5, top=((2, -1.0),), top_texts=("Post",))
    closing = Closing(
        id="s1.0.1",
        outcome="corrected",
        continuation="text_exact",
        followed="Mail a@b.org",
        answer="Mail",
        followed_tokens=((0, told),),
        answer_tokens=((0, told),),
    )
    record = InterruptionRecord(interruption=interruption("", "abc"), provenance=provenance(), at=1.0, delay_s=0)
    kept = []
    for mode in (prompts, "full"):
        database = Database(f"sqlite:///{tmp_path}/{mode}.db")
        database.open()
        database.add_interruption(record, mode)
        database.close_interruptions([closing])
        assert database.amend("s1.0.1", known=0.25)
        assert database.amend("s1.0.1", counterfactual="or c@d.org", review="confirmed")
        found = database.interruption("s1.0.1")
        database.close()
        assert found is not None
        assert found.closing is not None
        assert (found.known, found.review, found.closing.outcome) == (0.25, "confirmed", "corrected")
        kept.append((found.closing.followed_tokens, found.closing.answer_tokens, found.counterfactual))
    assert kept[0] == ((), (), "or <EMAIL_2>" if prompts == "redacted" else None)
    assert kept[1] == (closing.followed_tokens, closing.answer_tokens, "or c@d.org")


def test_none_keeps_counts_offsets_and_verdicts() -> None:
    finding = Finding(score=0.9, reason="secret", start=1, end=2)
    verdict = Verdict(segment=7, check="x", version="1", status="unscanned", why="deadline", findings=(finding,))
    cut = interruption("kept ", "claim.", " gone", verdicts=(verdict,), delay=5, tokens_wasted=3)
    record = InterruptionRecord(interruption=cut, provenance=provenance(), at=1.0, delay_s=0)
    new = privacy.interruption(record, "none", Redactor())
    assert new.provenance.messages is None
    assert (new.interruption.claim.start, new.interruption.claim.end) == (5, 11)
    assert (new.interruption.delay, new.interruption.tokens_wasted) == (5, 3)
    kept = new.interruption.verdicts[0]
    assert (kept.status, kept.why, kept.findings[0].score, kept.findings[0].end) == ("unscanned", "deadline", 0.9, 2)


def test_media_are_type_and_hash() -> None:
    raw = base64.b64encode(b"picture" * 99).decode()
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{raw}", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": raw, "format": "wav"}},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{raw}", "filename": "cv.pdf"}},
        {"type": "image_url", "image_url": {"url": "https://host/x.png?signature=abc"}},
    ]
    new = strip([{"role": "user", "content": parts}, {"role": "assistant", "content": None, "audio": {"data": raw}}])
    assert raw not in str(new)
    assert "signature" not in str(new)
    content = new[0]["content"]
    assert content[0] == parts[0]
    assert [set(part) for part in content[1:]] == [{"type", "sha256"}] * 4
    assert content[1]["sha256"] == content[2]["sha256"] == content[3]["sha256"] != content[4]["sha256"]
    assert strip(new) == new


def test_full_stores_messages_without_media() -> None:
    url = "data:image/png;base64," + base64.b64encode(b"x" * 300).decode()
    source = provenance(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
    assert url not in encode(privacy.provenance(source, "full", Redactor()))
