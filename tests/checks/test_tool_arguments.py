from __future__ import annotations

import json
import re
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checks import Context, NotApplicable, Resources
from guard.checks.tool_arguments import IDENTITY, LOOSE, SURE, plugin
from guard.checks.tool_arguments.numbers import numbers_in
from guard.core.types import Evidence, Finding, Passage, Segment

Source = Literal["evidence", "tool", "system", "user"]
CHECK = plugin(plugin.Params(), Resources())

USER = (
    "Hi, this is Mike Brandt. Please look at order 4512 and my order B-2077 for José Núñez. Send it to "
    "mike.brandt@mail.test or call 0171 555 0199. I paid $1,299.50 and twenty-five euros for shipping, 3 x 40. "
    "My booking is pnr x7k2q9, born on March 5, 1984. Docs: https://shop.test/help/returns?lang=en"
)
TOOL = json.dumps(
    {
        "order_id": "A-1034",
        "uuid": "0B5E9E0C-51C3-4F0E-9C55-2C1B7D1B0C11",
        "iban": "DE89 3704 0044 0532 0130 00",
        "customer": {"id": 90210, "tel": "+15108898690", "email": "jane\u002edoe@corp.test"},
        "commit": "9fceb02d0ae598e95dc970b74767f19372d61af8",
    }
)


def context(user: str = USER, tool: str = TOOL, **more: str) -> Context:
    texts: list[tuple[Source, str]] = [("user", user), ("tool", tool)]
    texts += [(source, more[source]) for source in ("evidence", "system") if source in more]
    return Context(evidence=Evidence(passages=tuple(Passage(source=s, text=t) for s, t in texts if t)))


def examine(arguments: Any, ground: Context | None = None, tool: str = "update_order") -> tuple[Finding, ...]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    segment = Segment(id=0, channel="tool_calls", start=0, end=len(text), text=text, attempt=0, tool=tool)
    result = CHECK.examine(segment, ground or context())
    assert isinstance(result, tuple)
    return result


def test_a_finding_has_reason_correction_evidence_and_place() -> None:
    text = '{"order_id": "A-1043", "express": true}'
    (found,) = examine(text)
    assert found == Finding(
        score=IDENTITY,
        reason="the order id 'A-1043' occurs nowhere in the conversation.",
        correction="The order id given is A-1034.",
        evidence="A-1034",
        subject="order id",
        start=14,
        end=20,
    )
    assert text[found.start : found.end] == "A-1043"


SUPPLIED: list[dict[str, Any]] = [
    # as it stands, and in other forms
    {"order_id": "A-1034"},
    {"order_id": "a1034"},
    {"orderId": "#A 1034"},
    {"order": {"id": "A_1034"}},
    {"order_ids": ["A-1034", "B-2077"]},
    {"order_number": "4512"},
    {"order_number": 4512},
    {"order_number": "0004512"},
    {"order_number": "A-1034/B-2077"},
    {"uuid": "0b5e9e0c51c34f0e9c552c1b7d1b0c11"},
    {"record": "0b5e9e0c-51c3-4f0e-9c55-2c1b7d1b0c11"},
    {"iban": "DE89370400440532013000"},
    {"customer_id": 90210},
    {"phone": "+1 (510) 889-8690"},
    {"phone_number": "510-889-8690"},
    {"mobile": "+49 171 5550199"},
    {"to": "Mike.Brandt@mail.test"},
    {"customer_email": "jane.doe@corp.test"},
    {"pnr": "X7K2Q9"},
    {"commit": "9fceb02d0ae598e95dc970b74767f19372d61af8"},
    {"link": "https://shop.test/help/returns?lang=en"},
    {"link": "http://shop.test/help/returns/"},
    # amounts that are supplied or follow
    {"amount": 1299.5},
    {"amount": "$1,299.50"},
    {"amount": "1.299,50 €"},
    {"amount": "EUR 1299.50"},
    {"amount_cents": 129950},
    {"amount": 25},
    {"total": 1324.5},
    {"price": 120},
    {"refund_amount": 649.75, "reason": "half"},
    {"amount": 0},
    # dates
    {"birth_date": "1984-03-05"},
    {"dob": "1984-03-05T00:00:00Z"},
    {"start_date": "1984-03-01"},
    # names
    {"customer_name": "Jose Nunez"},
    {"first_name": "MIKE", "last_name": "Brandt"},
    {"passengers": ["Jane Doe", "José Núñez"]},
]

NOBODYS: list[tuple[dict[str, Any], str, float]] = [
    ({"order_id": "A-1043"}, "A-1043", IDENTITY),
    ({"orderId": "C-1034"}, "C-1034", LOOSE),
    ({"order": {"id": "A-10345"}}, "A-10345", IDENTITY),
    ({"order_ids": ["A-1034", "Q-7731"]}, "Q-7731", IDENTITY),
    ({"order_number": 45123}, "45123", IDENTITY),
    ({"order_number": "451"}, "451", IDENTITY),
    ({"ticket": "T-88412"}, "T-88412", IDENTITY),
    ({"uuid": "0b5e9e0c-51c3-4f0e-9c55-2c1b7d1b0c12"}, "0b5e9e0c-51c3-4f0e-9c55-2c1b7d1b0c12", IDENTITY),
    ({"iban": "DE89370400440532013001"}, "DE89370400440532013001", IDENTITY),
    ({"destination": "DE11 5001 0517 5407 3249 31"}, "DE11 5001 0517 5407 3249 31", IDENTITY),
    ({"customer_id": 12345}, "12345", IDENTITY),
    ({"phone": "+1 555 123 4567"}, "+1 555 123 4567", IDENTITY),
    ({"to": "+15551234567"}, "+15551234567", IDENTITY),
    ({"to": "john.doe@example.com"}, "john.doe@example.com", IDENTITY),
    ({"new_email": "m.brandt@mail.test"}, "m.brandt@mail.test", IDENTITY),
    ({"pnr": "ABC123"}, "ABC123", IDENTITY),
    ({"commit_sha": "9fceb02d0ae598e95dc970b74767f19372d61af9"}, "9fceb02d0ae598e95dc970b74767f19372d61af9", IDENTITY),
    ({"promo_code": "SAVE20"}, "SAVE20", IDENTITY),
    ({"webhook": "https://hooks.test/services/T000"}, "https://hooks.test/services/T000", SURE),
    ({"amount": 1999.0}, "1999.0", SURE),
    ({"refund_amount": "$75.25"}, "$75.25", SURE),
    ({"price": "1.399,50 €"}, "1.399,50 €", SURE),
    ({"total_price": 34.88}, "34.88", LOOSE),
    ({"dob": "1990-11-17"}, "1990-11-17", SURE),
    ({"departure_date": "2025-07-14"}, "2025-07-14", SURE),
    ({"last_name": "Okonkwo"}, "Okonkwo", SURE),
    ({"passenger_name": "Helen Grey"}, "Helen Grey", SURE),
    ({"customer": {"name": "Mike Sorensen"}}, "Mike Sorensen", LOOSE),
    ({"target": "INV-2024-001"}, "INV-2024-001", LOOSE),
]

FREE: list[dict[str, Any]] = [
    {},
    {"query": "order A-9999 status"},
    {"search_query": "A-9999"},
    {"message": "x@y.test"},
    {"body": "A-9999"},
    {"sql": "A9999"},
    {"content": "https://nowhere.test/a/b"},
    {"subject": "INV-2024-001"},
    {"filename": "report-2024-001.txt"},
    {"path": "/srv/data/A-9999.json"},
    {"commit_message": "A-9999"},
    {"status": "OPEN", "express": True, "note": None},
    {"limit": 500, "page": 1234, "max_results": 1000, "timeout_ms": 30000},
    {"year": 2031, "count": 777},
    {"user_id": "me", "channel_id": "general", "calendar_id": "primary"},
    {"model_id": "gpt-4o-2024", "region_id": "us-east-1", "voice_id": "en-US-7"},
    {"currency_code": "840", "country_code": "+49", "zip_code": "94541", "status_code": 404},
    {"line_number": 4711, "page_number": 512},
    {"idempotency_key": "k-88412-zz", "request_id": "0b5e9e0c-51c3-4f0e-9c55-2c1b7d1b0c99"},
    {"password": "S3cret-4711"},
    {"since": 1700000000, "timestamp": "1700000000"},
    {"id": 7, "item_id": "12"},
    {"reference": "Return of 2 shoes as agreed"},
    {"name": "Quarterly report 2024", "file_name": "Helen Grey"},
    {"max_price": 777, "amount_limit": 888},
    {"a": 5, "b": 777},
    {"data": {"rows": [[1, 2], [777, 888]]}},
    {"address": "12 Long Lane, Hayward 94541"},
    {"temperature": 21.5, "latitude": 52.52001, "longitude": 13.40495},
    {"product": "iPhone 15 Pro", "size": "A4", "format": "MP3"},
]


@pytest.mark.parametrize("arguments", SUPPLIED, ids=json.dumps)
def test_what_was_supplied_is_clean_in_any_form(arguments: dict[str, Any]) -> None:
    assert examine(arguments) == ()


@pytest.mark.parametrize(("arguments", "value", "score"), NOBODYS, ids=str)
def test_what_nobody_supplied_is_found(arguments: dict[str, Any], value: str, score: float) -> None:
    (found,) = examine(arguments)
    assert (json.dumps(arguments)[found.start : found.end], found.score) == (json.dumps(value)[1:-1], score)
    assert f"'{value}' occurs nowhere" in found.reason


@pytest.mark.parametrize("arguments", FREE, ids=json.dumps)
def test_free_text_and_choices_of_the_model_are_left_alone(arguments: dict[str, Any]) -> None:
    assert examine(arguments) == ()


def test_every_invented_value_of_a_call_is_a_finding_in_its_place() -> None:
    text = json.dumps({"order_id": "A-1043", "note": "A-1043", "items": [{"sku": "ZZ-919"}, {"sku": "ZZ-919"}]})
    found = examine(text)
    assert [text[f.start : f.end] for f in found] == ["A-1043", "ZZ-919", "ZZ-919"]
    assert len({f.start for f in found}) == 3
    assert [f.subject for f in found] == ["order id", "sku", "sku"]


@pytest.mark.parametrize(
    ("arguments", "tool", "correction"),
    [
        ({"order_id": "A-1043"}, '{"order": "A-1034"}', "The order id given is A-1034."),
        ({"order_id": "A-1043"}, "A-1034 and a-1034 again", "The order id given is A-1034."),
        ({"order_id": "A-1043"}, "A-1034, A-1035", ""),
        ({"order_id": "A-1043"}, "nothing of the kind", ""),
        ({"customer_id": 12345}, "The year 2024. customer 12354.", "The customer id given is 12354."),
        ({"customer_id": 12345}, "The elevation is 12354 feet.", ""),
        ({"email": "jane.do@corp.test"}, "jane.doe@corp.test", "The e-mail address given is jane.doe@corp.test."),
        ({"email": "jane.do@corp.test"}, "support@shop.test", ""),
        ({"last_name": "Doo"}, "Jane Doe", ""),
    ],
    ids=str,
)
def test_a_correction_needs_exactly_one_value_that_looks_the_same(
    arguments: dict[str, Any], tool: str, correction: str
) -> None:
    (found,) = examine(arguments, context("What now?", tool))
    assert found.correction == correction


def test_the_users_own_words_clear_but_never_correct() -> None:
    ground = context("Where is A-1034?", "")
    assert examine({"order_id": "A-1034"}, ground) == ()
    (found,) = examine({"order_id": "A-1043"}, ground)
    assert found.correction == ""


@pytest.mark.parametrize("source", ["evidence", "system"])
def test_evidence_and_system_text_supply(source: str) -> None:
    assert examine({"order_id": "Z-777"}, context("Go.", "", **{source: "The order is Z-777."})) == ()


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("create_order", {"order_id": "N-5555"}),
        ("create_order", {"id": "N-5555"}),
        ("add_ticket", {"ticket": "T-5555"}),
    ],
)
def test_what_a_call_creates_needs_no_source(tool: str, arguments: dict[str, Any]) -> None:
    assert examine(arguments, tool=tool) == ()
    assert len(examine(arguments, tool="cancel")) == 1


def test_creating_one_thing_does_not_excuse_the_number_of_another() -> None:
    assert len(examine({"order_id": "N-5555"}, tool="create_refund")) == 1


@pytest.mark.parametrize(
    ("url", "score"),
    [
        ("https://docs.python.org/3/library/json.html", LOOSE),
        ("https://shop.test/help/exchanges", LOOSE),
        ("https://shop.test/help/returns?lang=de", 0),
        ("https://shop.test/help", 0),
    ],
)
def test_a_tool_that_looks_things_up_may_try_an_address(url: str, score: float) -> None:
    assert [f.score for f in examine({"url": url}, tool="fetch_page")] == [score] * bool(score)
    assert [f.score for f in examine({"url": url}, tool="send_link")] in ([], [SURE])


@pytest.mark.parametrize("said", ["next Friday", "for 3 nights", "tomorrow", "in two weeks", "morgen"])
def test_a_date_may_follow_from_words(said: str) -> None:
    assert examine({"start_date": "2031-07-14"}, context(f"Book it {said}.", "")) == ()
    assert len(examine({"start_date": "2031-07-14"}, context("Book it.", ""))) == 1


@pytest.mark.parametrize("said", ["14 July", "July 14th", "14.07.2031", "7/14/31", "2031-7-14", "12-14 Jul"])
def test_a_date_is_found_in_any_form(said: str) -> None:
    assert examine({"start_date": "2031-07-14"}, context(f"Book it on {said}.", "")) == ()


@pytest.mark.parametrize(
    ("day", "said"), [("2024-01-01", "in 2024"), ("2024-12-31", "in 2024"), ("2025-06-03", "It is 2025-06-02.")]
)
def test_the_edges_of_a_year_and_the_day_after_today_need_no_more(day: str, said: str) -> None:
    assert examine({"start_date": day}, context(said, "")) == ()
    assert len(examine({"start_date": day}, context("Book it.", ""))) == 1


def test_names_in_another_script_are_not_compared() -> None:
    assert examine({"customer_name": "Taro Tanaka"}, context("田中太郎です。注文を確認して。", "")) == ()


def test_many_numbers_may_add_up_to_anything() -> None:
    many = " ".join(str(n * 37 + 11) for n in range(50))
    assert examine({"amount": 123456.78}, context(many, "")) == ()
    assert len(examine({"amount": 123456.78}, context("12 and 15", ""))) == 1


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1,299.50", {1299.5}),
        ("1.299,50", {1299.5}),
        ("2k", {2, 2000}),
        ("1.5 million", {1.5, 1500000}),
        ("twenty-five", {25}),
        ("two hundred and fifty", {250}),
        ("three thousand two hundred", {3200}),
        ("no number", set()),
    ],
)
def test_numbers_are_read_in_figures_and_words(text: str, numbers: set[float]) -> None:
    assert numbers <= set(numbers_in(text))
    assert bool(numbers_in(text)) == bool(numbers)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '"A-1043"', "null", '{"order_id": "A-10', "[" * 100_000, '{"id": ' * 980 + "1" + "}" * 980]
)
def test_arguments_that_are_no_object_are_not_judged(text: str) -> None:
    segment = Segment(id=0, channel="tool_calls", start=0, end=len(text), text=text, attempt=0, tool="f")
    assert CHECK.examine(segment, context()) == NotApplicable("arguments are no JSON object")


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (Evidence(), "nothing supplied"),
        (Evidence(passages=(Passage(source="user", text=" "),)), "nothing supplied"),
        (
            Evidence(passages=(Passage(source="user", text="This one."),), unreadable=("image_url",)),
            "parts that no check can read",
        ),
    ],
)
def test_without_words_to_look_in_it_does_not_apply(evidence: Evidence, why: str) -> None:
    segment = Segment(id=0, channel="tool_calls", start=0, end=2, text='{"order_id": "A-1"}', attempt=0, tool="f")
    assert CHECK.examine(segment, Context(evidence=evidence)) == NotApplicable(why)


def test_the_evidence_is_read_once_a_request() -> None:
    ground = context()
    examine({"order_id": "A-1043"}, ground)
    first = dict(ground.memo)
    examine({"order_id": "B-2077"}, ground)
    assert ground.memo == first


LETTERS = st.text("ABCDEFGHJKLMNPQRSTUVWXYZ", min_size=1, max_size=4)
DIGITS = st.text("123456789", min_size=5, max_size=9)
IDS = st.builds("{}{}{}".format, LETTERS, st.sampled_from(["", "-", "_", "/", " "]), DIGITS)
AROUND = st.sampled_from(["{}", "Order {}.", "see #{}!", '{{"order_id": "{}"}}', "x\n{}\ny", "({}),"])


@given(IDS, AROUND, st.sampled_from(["order_id", "orderNumber", "ticket_ref", "id"]), st.data())
def test_a_supplied_identifier_is_never_flagged_however_it_is_written(
    value: str, around: str, name: str, data: st.DataObject
) -> None:
    mark = data.draw(st.sampled_from(["", "-", "_", " ", "/", "."]))
    written = re.sub(r"[-_/ ]", mark, value)
    written = data.draw(st.sampled_from([str.lower, str.upper, str.title]))(written)
    written = data.draw(st.sampled_from(["{}", "#{}", " {} "])).format(written)
    assert examine({name: written}, context(around.format(value), "")) == ()


@given(DIGITS, st.sampled_from([" ", "-", ".", ""]), st.booleans())
def test_a_supplied_number_is_never_flagged_however_it_is_grouped(digits: str, mark: str, number: bool) -> None:
    supplied = mark.join((digits[:2], digits[2:4], digits[4:]))
    said: Any = int(digits) if number else digits
    assert examine({"account_number": said}, context(f"Account {supplied}", "")) == ()


@given(IDS, st.sampled_from(["order_id", "orderNumber", "ticket_ref", "id"]))
def test_a_fresh_identifier_is_always_flagged(value: str, name: str) -> None:
    # A nought stands in no identifier that was supplied here.
    (found,) = examine({name: value + "0077"}, context(f"Order {value}. Ask for 4512 or A-1034.", ""))
    assert found.score >= LOOSE
    assert found.end is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_never_raises_and_spans_are_inside(document: Any) -> None:
    text = json.dumps({"order_id": document, "amount": document, "date": document, "customer_name": document})
    for found in examine(text):
        assert found.end is not None
        assert 0 <= found.start < found.end <= len(text)
        assert 0 < found.score <= 1


@given(st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True), st.text(max_size=60))
def test_no_date_and_no_text_break_it(date: str, text: str) -> None:
    examine(
        {"date": date, "amount": text, "phone": text, "order_id": text, "url": "https://" + text},
        context("It is " + text, text),
    )
