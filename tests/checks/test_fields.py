"""The `fields` check: what contradicts a record is found, what restates it never is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checks import Context, NotApplicable, Resources
from guard.checks.fields import LONGEST, plugin
from guard.checks.fields.document import documents
from guard.core.types import Evidence, Finding, Passage, Segment

CHECK = plugin(plugin.Params(), Resources())
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
RECORD: dict[str, Any] = {
    "name": "Blue Door Bistro",
    "address": "12 Harbour Lane",
    "city": "Oakland",
    "state": "CA",
    "hours": {day: "closed" if day == "Monday" else "9:0-22:0" if day in DAYS[4:6] else "11:0-21:0" for day in DAYS},
    "attributes": {
        "WiFi": "no",
        "OutdoorSeating": True,
        "RestaurantsTakeOut": False,
        "acceptsReservations": True,
        "Music": None,
        "BusinessParking": {"garage": False, "street": True, "valet": False},
        "Ambience": {"romantic": False, "casual": True},
    },
    "rating": 4.5,
    "review_count": 212,
    "phone": "510-889-8690",
    "manager": "Ada Velm",
    "allergens": ["milk", "nuts", "soy"],
    "reviews": [{"stars": 4, "text": "We loved the long evenings there with a piano player and the garden behind it."}],
}


def context(*passages: str, source: Any = "evidence") -> Context:
    texts = passages or (json.dumps(RECORD),)
    return Context(evidence=Evidence(passages=tuple(Passage(source=source, text=text) for text in texts)))


def examine(text: str, ground: Context | None = None) -> tuple[Finding, ...]:
    segment = Segment(id=0, channel="content", start=0, end=len(text), text=text, attempt=0)
    result = CHECK.examine(segment, ground or context())
    return result if isinstance(result, tuple) else ()


WRONG: list[tuple[str, str, float]] = [
    # what there is said to be
    ("It offers free WiFi.", "WiFi", 0.95),
    ("Wi-Fi is available.", "WiFi", 0.95),
    ("It has wireless internet.", "WiFi", 0.95),
    ("The bistro has no outdoor seating.", "OutdoorSeating", 0.95),
    ("It lacks outdoor seating, but is popular.", "OutdoorSeating", 0.95),
    ("Outdoor seating is not available.", "OutdoorSeating", 0.95),
    ("There isn't any outdoor dining.", "OutdoorSeating", 0.95),
    ("They offer takeout.", "RestaurantsTakeOut", 0.95),
    ("They offer take-out and outdoor seating.", "RestaurantsTakeOut", 0.95),
    ("They do not take reservations.", "acceptsReservations", 0.95),
    ("Reservations are not accepted.", "acceptsReservations", 0.95),
    ("* WiFi: Yes", "WiFi", 0.95),
    ("* Outdoor Seating: No", "OutdoorSeating", 0.95),
    ("It offers live music.", "Music", 0.75),
    ("There is no music.", "Music", 0.75),
    # members of a group
    ("It has a parking garage.", "BusinessParking garage", 0.95),
    ("Valet parking is available.", "BusinessParking valet", 0.95),
    ("There is no street parking.", "BusinessParking street", 0.95),
    ("The restaurant does not offer parking.", "BusinessParking", 0.95),
    ("The atmosphere is romantic.", "Ambience romantic", 0.95),
    ("The ambiance is not casual.", "Ambience casual", 0.95),
    # hours
    ("It is open Monday through Sunday.", "Monday", 0.95),
    ("It is open every day.", "Monday", 0.95),
    ("It is open from Tuesday to Thursday from 9 am to 9 pm.", "Tuesday", 0.95),
    ("On Friday it is open until 11 pm.", "Friday", 0.95),
    ("Open on Sunday from 11:00 to 22:00.", "Sunday", 0.95),
    ("It is closed on Tuesdays.", "Tuesday", 0.95),
    ("The hours are 8 am to 8 pm.", "Tuesday", 0.95),
    ("It is open 11 am to 9 pm from Tuesday to Saturday.", "Friday", 0.9),
    # numbers
    ("It has a rating of 3.", "rating", 0.9),
    ("It is a 3.5-star restaurant.", "rating", 0.9),
    ("It is rated 5 out of 5.", "rating", 0.9),
    ("The review count is 312.", "review_count", 0.9),
    ("It holds three and a half stars.", "rating", 0.9),
    # texts, places, lists
    ("The manager is Mara Kest.", "manager", 0.9),
    ("Manager: Tom Hale", "manager", 0.9),
    ("It is located in Berkeley.", "city", 0.9),
    ("The bistro is located at 40 Beacon Street.", "address", 0.9),
    ("The allergens are milk and shellfish.", "allergens", 0.85),
    ("It lists 3 reviews.", "reviews", 0.6),
    ("It has a 4.5-star rating on Zagat.", "rating", 0.6),
    ("Mains cost $23.", "amount", 0.45),
]

RIGHT: list[str] = [
    "It does not offer WiFi.",
    "There is no Wi-Fi.",
    "Wi-Fi is not available, but there is outdoor seating.",
    "It has outdoor seating.",
    "While they don't offer WiFi, they do have outdoor seating.",
    "Despite not offering takeout, the place is popular.",
    "It has outdoor seating, and WiFi is not available.",
    "It accepts reservations.",
    "Takeout and WiFi are not available.",
    "* WiFi: No",
    "* Takeout: not available",
    "Is there WiFi?",
    "If there is WiFi, guests can work here.",
    "It is not specified whether there is music.",
    "There may be WiFi.",
    "Music is not mentioned in the data.",
    "Street parking is available, but garage and valet parking are not.",
    "There is parking on the street, though there is no garage or valet service.",
    "It does not offer valet or garage parking.",
    "Parking is available.",
    "There are a lot of parking signs.",
    "It has a casual atmosphere.",
    "The atmosphere is friendly.",
    "The ambiance is casual rather than stiff.",
    "It is closed on Mondays.",
    "It is open from Tuesday to Sunday.",
    "It is open from 11 am to 9 pm on Tuesday, Wednesday and Thursday.",
    "On Friday and Saturday it is open until 10 pm.",
    "Tuesday to Sunday from 11:00 to 21:00, except Friday and Saturday from 9:00 to 22:00.",
    "Hours vary by day, and it is open from Tuesday to Sunday.",
    "The happy hour is from 4 pm to 6 pm every day.",
    "It has a rating of 4.5.",
    "It has a rating of 4.5 out of 5 stars.",
    "It is rated 4.5 stars, and one review gave it 4 stars.",
    "There are over 200 reviews.",
    "The review count is 212.",
    "The rating is about 4.",
    "The manager is Ada Velm.",
    "The manager is Ms. Velm.",
    "The manager is not named.",
    "It is located at 12 Harbour Lane in Oakland, California.",
    "It is located in the heart of Oakland.",
    "The allergens are milk, nuts and soy.",
    "The allergens include nuts.",
    "Its phone number is 510-889-8690.",
    "Blue Door Bistro is a place in Oakland, CA.",
    "The weather is fine today.",
    "",
]


@pytest.mark.parametrize(("text", "subject", "score"), WRONG, ids=str)
def test_what_the_record_contradicts_is_found(text: str, subject: str, score: float) -> None:
    found = [finding for finding in examine(text) if finding.subject == subject]
    assert [finding.score for finding in found] == [score]


@pytest.mark.parametrize("text", RIGHT)
def test_what_agrees_with_the_record_or_claims_nothing_is_no_error(text: str) -> None:
    assert [finding for finding in examine(text) if finding.score >= 0.5] == []


def test_a_finding_has_reason_correction_evidence_and_place() -> None:
    text = "It is cheap and offers free WiFi."
    (found,) = examine(text)
    assert found == Finding(
        score=0.95,
        reason="the record does not say 'WiFi'.",
        correction="The record says WiFi: no.",
        evidence='"WiFi": "no"',
        subject="WiFi",
        start=28,
        end=32,
    )
    assert text[found.start : found.end] == "WiFi"


def test_a_group_is_corrected_with_its_members() -> None:
    (found,) = examine("There is no parking.")
    assert found.correction == "The record says BusinessParking: garage no, street yes, valet no."
    assert found.evidence == '"street": true'


def test_what_is_null_has_no_correction() -> None:
    (found,) = examine("It offers live music.")
    assert (found.correction, found.reason) == ("", "the record does not tell about 'live music'.")


def test_prose_bears_out_what_the_fields_leave_open_and_contradicts_nothing() -> None:
    said = "The garden has live music."
    assert examine(said, context('{"name": "X", "Music": null}'))
    assert not examine(said, context('{"name": "X", "Music": null}', "There is live music on Fridays."))
    (found,) = examine("It has WiFi.", context('{"WiFi": "no"}', "The WiFi was slow, said a guest."))
    assert found.score == 0.7


def test_what_others_are_said_to_think_scores_lower() -> None:
    (found,) = examine("Some guests praised the free WiFi.")
    assert found.score == 0.7


def test_the_users_own_record_flags_but_never_corrects() -> None:
    (found,) = examine("It offers WiFi.", context('{"WiFi": "no"}', source="user"))
    assert (found.correction, found.evidence, found.score) == ("", "", 0.95)
    assert examine("It offers WiFi.", Context(evidence=Evidence(passages=(
        Passage(source="evidence", text='{"WiFi": "no"}'), Passage(source="user", text='{"WiFi": "yes"}'),
    )))) == ()  # fmt: skip


FORMS = {
    "python": "{'name': 'Kettle', 'price': 40, 'in_stock': False, 'colour': None}",
    "lines": "Name: Kettle\nPrice: 40\nIn stock: no\n",
    "list": "- **Name**: Kettle\n- **Price**: 40\n- **In stock**: no\n",
    "markdown": "| Name | Price | In stock |\n|---|---|---|\n| Kettle | 40 | no |\n",
    "csv": "name,price,in_stock\nKettle,40,no\nToaster,30,no\n",
    "text around": 'The tool returned: {"name": "Kettle", "price": 40, "in_stock": false} as of now.',
    "lines of JSON": '{"name": "Kettle", "price": 40, "in_stock": false}\n{"name": "Pan", "in_stock": false}',
    "nested": '{"result": {"items": [{"name": "Kettle", "price": 40, "inStock": "false"}]}}',
}


@pytest.mark.parametrize("form", FORMS)
def test_a_record_is_read_in_any_form(form: str) -> None:
    ground = context(FORMS[form])
    assert examine("The Kettle is not in stock and its price is 40.", ground) == ()
    found = examine("The price of the kettle: its price is $45. It is in stock.", ground)
    assert {finding.subject.lower().replace(" ", "").replace("_", "") for finding in found} >= {"price", "instock"}
    assert all(finding.evidence in FORMS[form] for finding in found)


def test_of_several_records_the_one_that_is_named_counts_and_else_any() -> None:
    ground = context('[{"name": "Kettle", "price": 40}, {"name": "Toaster", "price": 30}]')
    assert examine("The price is 30.", ground) == ()
    assert examine("The Toaster's price is 30.", ground) == ()
    (found,) = examine("The Kettle has a price of 30.", ground)
    assert found.correction == "The record says price: 40."
    assert found.evidence == '"price": 40'


@pytest.mark.parametrize("text", ["", "Nothing but prose: with a colon.", "[1] See below. {x}", "{" * 500, '{"a": 1'])
def test_without_structure_it_does_not_apply(text: str) -> None:
    segment = Segment(id=0, channel="content", start=0, end=2, text="Hi", attempt=0)
    assert CHECK.examine(segment, context(text)) == NotApplicable("no structured evidence")


def test_the_evidence_is_read_once_a_context() -> None:
    ground = context()
    examine("It offers free WiFi.", ground)
    first = ground.memo["index"]
    examine("It is open on Mondays.", ground)
    assert ground.memo["index"] is first


KEYS = st.from_regex(r"[a-z]{3,9}(_[a-z]{3,9})?", fullmatch=True)
VALUES = st.none() | st.booleans() | st.integers(0, 10_000) | st.from_regex(r"[A-Z][a-z]{2,9}", fullmatch=True)
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    VALUES | st.text(max_size=20) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12) | KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(DOCUMENTS, st.text(max_size=80))
def test_never_raises_and_quotes_stand_in_the_passage(document: Any, text: str) -> None:
    for passage in (json.dumps(document), str(document), json.dumps(document, indent=1)):
        ground = context(passage)
        for said in (text, passage, f"{text} is not 5 and {text}."):
            segment = Segment(id=0, channel="content", start=0, end=len(said), text=said, attempt=0)
            result = CHECK.examine(segment, ground)
            for finding in result if isinstance(result, tuple) else ():
                assert finding.end is not None
                assert 0 <= finding.start <= finding.end <= len(said)
                assert 0 < finding.score <= 1
                assert finding.evidence in passage


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=6))
def test_a_record_in_its_own_words_is_never_flagged(record: dict[str, Any]) -> None:
    ground = context(json.dumps(record))
    for key, value in record.items():
        name = key.replace("_", " ")
        if isinstance(value, bool):
            said = f"{name}: {'yes' if value else 'no'}"
        else:
            said = f"The {name} is {'unknown' if value is None else value}."
        assert examine(said, ground) == ()


@given(DOCUMENTS)
def test_a_document_is_read_as_json_reads_it(document: Any) -> None:
    text = json.dumps({"it": document})
    (node,) = documents(text)
    assert text[node.start : node.end] == text


@given(st.lists(st.sampled_from("|,:\n\t{}[]\"' -ab1*"), max_size=80).map("".join))
def test_no_passage_breaks_it(text: str) -> None:
    segment = Segment(id=0, channel="content", start=0, end=12, text="The a is 1. ", attempt=0)
    CHECK.examine(segment, context(text))


def test_only_the_beginning_of_an_endless_segment_is_looked_at() -> None:
    said = "It has no WiFi, and "
    assert len(said * 300) > LONGEST
    found = examine(said * 300, context('{"name": "Blue Door", "WiFi": "yes", "stars": 4, "city": "Santa Barbara"}'))
    assert found
    assert max(one.end or 0 for one in found) <= LONGEST
