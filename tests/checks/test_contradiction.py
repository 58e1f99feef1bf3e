"""The `contradiction` check: the same thing with another value is found, a change or a revision is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checks import Context, NotApplicable, Resources
from guard.checks.contradiction import DEFINITE, NAMED, plugin
from guard.core.types import Channel, Evidence, Finding, Segment

CHECK = plugin(plugin.Params(), Resources())


def segment(text: str, number: int, channel: Channel = "content") -> Segment:
    return Segment(id=number, channel=channel, start=0, end=len(text), text=text, attempt=0)


def context(*kept: str, channel: Channel = "content") -> Context:
    standing = tuple(segment(text, number, channel) for number, text in enumerate(kept))
    return Context(evidence=Evidence(), standing=lambda: standing)


NOTHING = NotApplicable("nothing to compare")


def examine(*texts: str) -> tuple[Finding, ...]:
    """What is found in the last of these sentences, with the others standing before it."""
    result = CHECK.examine(segment(texts[-1], len(texts)), context(*texts[:-1]))
    return result if isinstance(result, tuple) else ()


WRONG: list[tuple[str, str, float]] = [
    ("Ada Velm was born in 1912.", "Ada Velm, born in 1921, was a painter.", NAMED),
    ("Ada Velm was born in 1912.", "Ada Velm was born in 1921.", NAMED),
    ("Ada Velm was born in 1912.", "Velm was born on March 3, 1921.", NAMED),
    ("Ada Velm was born on 3 March 1912.", "Ada Velm was born on 5 March 1912.", NAMED),
    ("Ada Velm (born 1912) was a painter.", "Ada Velm was born in 1911.", NAMED),
    ("Ada Velm died in 1980.", "Ada Velm died in May 1981.", NAMED),
    ("Velm died in 1980.", "Ada Velm died in 1990.", NAMED),
    ("The firm was founded in 1990.", "The firm was founded in 1995.", DEFINITE),
    (
        "Kestrel Works was founded in 1990.",
        "Kestrel Works was established in 1990, and Kestrel Works was founded in 1991.",
        NAMED,
    ),
    ("The bridge of Holm was built in 1820.", "The bridge of Holm was built in 1840.", NAMED),
    ("The novel was published in 1960.", "The novel was published in 1972.", DEFINITE),
    ("The meeting is on Tuesday.", "The meeting is on Thursday.", DEFINITE),
    ("The meeting is on Tuesday at noon in room 5.", "As noted, the meeting is on Thursday.", DEFINITE),
    ("The Holm concert takes place on Monday.", "The Holm concert takes place on Friday.", NAMED),
    ("The concert starts at 7 pm.", "The concert starts at 9 pm.", DEFINITE),
    ("The train departs at 7:15.", "The train departs at 7:45.", DEFINITE),
    ("The lecture is scheduled for Monday.", "The lecture is scheduled for Wednesday.", DEFINITE),
    ("The lecture is at noon.", "The lecture is at 3 pm.", DEFINITE),
    ("The capital of Ostria is Brengate.", "The capital of Ostria is Tarn.", NAMED),
    ("The author of Red Sand is Olga Quill.", "The author of Red Sand is Mirel Kest.", NAMED),
    ("Red Sand was written by Olga Quill.", "Red Sand was written by Mirel Kest.", NAMED),
    ("The Holm Tower was designed by Quill.", "The Holm Tower was designed by Kest.", NAMED),
    ("The population of Ostria is 5 million.", "The population of Ostria is 9 million.", NAMED),
    ("Ostria has 12 provinces.", "Ostria has 14 provinces.", NAMED),
    ("Ostria has twelve provinces.", "Ostria has 9 provinces.", NAMED),
    ("Ostria has 12 provinces.", "Ostria has 14 provinces in the north and south.", NAMED),
    ("Mount Karst is 3,000 metres high.", "Mount Karst is 4,000 metres high.", NAMED),
    ("The Holm Tower has 30 floors.", "The Holm Tower has 50 floors.", NAMED),
    ("The Holm league consisted of 10 teams.", "The Holm league consisted of eight teams.", NAMED),
    ("Ada Velm won 3 medals.", "Ada Velm won five medals.", NAMED),
    ("The ticket costs $40.", "The ticket costs $60.", DEFINITE),
    ("The crate weighs 40 kg.", "The crate weighs 55 kg.", DEFINITE),
    ("The hall holds 400 guests.", "The hall holds 900 guests.", DEFINITE),
    ("There are 5 bridges in Holm.", "There are 9 bridges in Holm.", DEFINITE),
    ("The Ostria river is 300 km long.", "The Ostria river is 800 km long.", NAMED),
    ("Ada Velm was a member of the council.", "Ada Velm was not a member of the council.", NAMED),
    ("Ada Velm was never married.", "Ada Velm was married.", NAMED),
    ("Ostria is a member of the league.", "Ostria isn't a member of the league.", NAMED),
    ("The museum is open to visitors.", "The museum is not open to visitors.", DEFINITE),
    ("The Holm library does not lend films.", "The Holm library does lend films.", NAMED),
    ("The Holm ferry can carry cars.", "The Holm ferry can not carry cars.", NAMED),
    ("In Ostria, the fee is 40 crowns.", "In Ostria, the fee is 70 crowns.", DEFINITE),
]

RIGHT: list[tuple[str, ...]] = [
    # the same again, or one that may be the same
    ("Ada Velm was born in 1912.", "Ada Velm was born in 1912."),
    ("Ada Velm was born in 1912.", "Ada Velm was born on March 3, 1912."),
    ("Ada Velm was born in March 1912.", "Ada Velm was born on 3 March 1912."),
    ("The population of Ostria is 8.3 million.", "The population of Ostria is 8,336,817."),
    ("The meeting is on Tuesday.", "The meeting is on Tuesday at noon."),
    ("The concert starts at 7 pm.", "The concert starts at 7:00 p.m."),
    ("The author of Red Sand is Olga Quill.", "The author of Red Sand is Quill."),
    ("Ostria has twelve provinces.", "Ostria has 12 provinces."),
    # of something else
    ("Ada Velm was born in 1912.", "Tomas Velm was born in 1921."),
    ("Ada Velm was born in 1912.", "Ada Velm died in 1921."),
    ("The meeting is on Tuesday.", "The dinner is on Thursday."),
    ("The meeting is on Tuesday.", "The meeting is on Tuesday and Thursday."),
    ("The museum is open on Monday.", "The museum is open on Tuesday."),
    ("The train departs at 7:15.", "The train arrives at 7:45."),
    ("Ostria has 12 provinces.", "Ostria has 14 rivers."),
    ("Red Sand was written by Olga Quill.", "Red Sand was written by Olga Quill and Mirel Kest."),
    ("There are 5 bridges in Holm.", "There are 9 bridges in Tarn."),
    ("For the factor 5, the exponent in it is 4.", "For the factor 7, the exponent in it is 2."),
    ("At 6 pm, the temperature is 40 degrees.", "At 9 pm, the temperature is 34 degrees."),
    ("Ada Velm was a member of the council.", "Ada Velm was not a member of the court."),
    ("The digits are 3, 7, and 0.", "The digits are 4, 0, and 7."),
    ("There are 2 primes in this range.", "There are 5 primes in this range."),
    # changes, steps and sums
    ("x = 3.", "x = 4."),
    ("So x is 3.", "Now x is 4."),
    ("There are 5 apples in the bowl.", "After eating 2, there are 3 apples in the bowl."),
    ("There are 5 apples in the bowl.", "There are 3 apples left in the bowl."),
    ("Natalia has 48 clips.", "She has 24 clips."),
    ("Natalia has 48 clips.", "Then Natalia has 72 clips."),
    ("Natalia has 48 clips.", "Natalia has 48/2 = 24 clips."),
    ("The ticket costs $40.", "The ticket costs $60 per person."),
    ("The meeting is on Tuesday.", "The meeting was moved, so the meeting is on Thursday."),
    ("The meeting was originally on Tuesday.", "The meeting is on Thursday."),
    ("The museum was open to visitors.", "The museum is not open to visitors."),
    ("The team has 3 points.", "The team now has 4 points."),
    # what is only supposed
    ("Suppose the meeting is on Tuesday.", "The meeting is on Thursday."),
    ("The meeting is on Tuesday.", "If the meeting is on Thursday, we are late."),
    ("Case 1: the meeting is on Tuesday.", "Case 2: the meeting is on Thursday."),
    ("The meeting is on Tuesday.", "Is the meeting on Thursday?"),
    ("The meeting is on Tuesday.", "The meeting might be on Thursday."),
    ("Some say Ada Velm was born in 1912.", "Ada Velm was born in 1921."),
    ("According to one source, Ada Velm was born in 1912.", "Ada Velm was born in 1921."),
    ("The meeting is either on Tuesday or later.", "The meeting is on Thursday."),
    # what is taken back
    ("Ada Velm was born in 1912.", "Wait, Ada Velm was born in 1921."),
    ("Ada Velm was born in 1912.", "No, Ada Velm was born in 1921."),
    ("Ada Velm was born in 1912.", "Wait, no.", "Ada Velm was born in 1921."),
    ("Ada Velm was born in 1912.", "Let me check that.", "Hmm.", "Ada Velm was born in 1921."),
    ("Ada Velm was born in 1912.", "Actually, Ada Velm was born in 1921.", "Ada Velm was born in 1921."),
    ("Ada Velm was born in 1912.", "Correction: Ada Velm was born in 1921."),
    ("The capital of Ostria is Brengate.", "I made a mistake.", "The capital of Ostria is Tarn."),
]


@pytest.mark.parametrize(("earlier", "later", "score"), WRONG, ids=str)
def test_another_value_for_the_same_thing_is_found(earlier: str, later: str, score: float) -> None:
    (found,) = examine(earlier, "It is a fine day.", later)
    assert found.score == score
    assert found.evidence in earlier
    assert found.reason == f"you said earlier that {found.evidence}."
    assert found.correction == ""
    assert found.end is not None
    assert later[found.start : found.end].strip()


@pytest.mark.parametrize("texts", RIGHT, ids=" / ".join)
def test_agreement_change_supposition_and_revision_are_no_contradiction(texts: tuple[str, ...]) -> None:
    assert examine(*texts) == ()


def test_the_later_statement_alone_is_marked() -> None:
    text = "It was hot, and the meeting is on Thursday."
    (found,) = examine("The meeting is on Tuesday.", text)
    assert text[found.start : found.end] == "the meeting is on Thursday"


def test_it_looks_from_the_reasoning_into_the_content() -> None:
    before = context("The meeting is on Tuesday.", channel="reasoning")
    assert isinstance(CHECK.examine(segment("The meeting is on Thursday.", 9), before), tuple)


def test_what_was_discarded_is_forgotten() -> None:
    kept = [segment("The meeting is on Tuesday.", 0)]
    ground = Context(evidence=Evidence(), standing=lambda: tuple(kept))
    CHECK.examine(kept[0], ground)
    assert isinstance(CHECK.examine(segment("The meeting is on Thursday.", 1), ground), tuple)
    kept[:] = [segment("The dinner is on Friday.", 2)]
    assert CHECK.examine(segment("The meeting is on Thursday.", 3), ground) == NOTHING


def test_the_statement_that_agrees_counts_over_the_one_that_does_not() -> None:
    assert examine("The meeting is on Tuesday.", "The meeting is on Thursday.", "The meeting is on Thursday.") == ()


def test_a_segment_is_read_once() -> None:
    ground = context("The meeting is on Tuesday.", "The meeting is on Tuesday.")
    CHECK.examine(segment("The meeting is on Tuesday.", 5), ground)
    first = dict(ground.memo["read"])
    CHECK.examine(segment("The meeting is on Tuesday.", 5), ground)
    assert ground.memo["read"] == first


def test_tool_calls_are_no_statements() -> None:
    before = context("The meeting is on Tuesday.", channel="tool_calls")
    assert CHECK.examine(segment("The meeting is on Thursday.", 9), before) == NOTHING


SENTENCES = st.sampled_from([text for pair in WRONG for text in pair[:2]]) | st.text(max_size=120)


@given(st.lists(SENTENCES, min_size=1, max_size=6))
def test_never_raises_and_quotes_what_was_said(texts: list[str]) -> None:
    for found in examine(*texts):
        assert any(found.evidence in text for text in texts[:-1])
        assert found.end is not None
        assert 0 <= found.start < found.end <= len(texts[-1])
        assert 0 < found.score <= 1


@given(st.lists(SENTENCES, max_size=5), SENTENCES)
def test_what_was_just_said_may_be_said_again(texts: list[str], text: str) -> None:
    assert examine(*texts, text, text) == ()


@given(st.from_regex(r"[A-Z][a-z]{3,8}", fullmatch=True), st.integers(1000, 2089), st.integers(1000, 2089))
def test_two_years_of_birth_are_always_found(name: str, year: int, other: int) -> None:
    found = examine(f"Ada {name} was born in {year}.", f"Ada {name} was born in {other}.")
    assert bool(found) == (year != other)
