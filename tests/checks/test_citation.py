from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checks import Context, NotApplicable, Resources
from guard.checks.citation import plugin
from guard.checks.citation.attribution import ABSENT, SURE, WEAK
from guard.core.types import Channel, Evidence, Finding, Passage, Segment
from tests.checks import citation_cases

CHECK = plugin(plugin.Params(), Resources())

GUIDE = """[1] Boiler guide, https://heat.test-labs.org/guide/v2
1.1 Safety
Never open the red valve while the pump is running. The pump must rest for 30 minutes before the tank is drained.
1.2 Service
Dr. Lena Orth said: "The filter should be changed every six months by a trained fitter, and not by the tenant."
Section 4.2 of the warranty does not cover frost. See Articles 3 to 7 and RFC 7231, doi 10.1234/heat.77, and the code in
src/boiler/pump.py and src/boiler/valve.py.
[2] Orders: {"order_id": "A-1034", "note": "It\\u2019s \\"fully paid\\" and leaves the warehouse\\non Friday"}
passage 1: The <b>boiler</b> was [tested](https://heat.test-labs.org/t) in the well-known lab[3] of Ostria, at 3.5 bar.
passage 2: A burner that is older than 15 years may not be sold in any shop of the country.
"""
EMPTY = "You are a friendly assistant of a shop for boilers, pumps and tanks. " * 4


def ground(evidence: str = GUIDE, question: str = "What does it say?", user: str = "", system: str = "") -> Context:
    passages = [Passage(source="evidence", text=evidence)] if evidence else []
    passages += [Passage(source="system", text=system)] if system else []
    passages += [Passage(source="user", text=text) for text in (user, question) if text]
    return Context(evidence=Evidence(passages=tuple(passages), question=question))


def examine(text: str, context: Context | None = None, channel: Channel = "content") -> tuple[Finding, ...]:
    segment = Segment(id=9, channel=channel, start=0, end=len(text), text=text, attempt=0)
    result = CHECK.examine(segment, context or ground())
    return () if isinstance(result, NotApplicable) else result


def test_a_changed_quote_is_corrected_by_the_sources_own_words() -> None:
    text = 'The guide says "The pump must rest for 20 minutes before the tank is drained."'
    (found,) = examine(text)
    assert found == Finding(
        score=SURE,
        reason='the source does not say "The pump must rest for 20 minutes before the tank is drained".',
        correction='The source says "The pump must rest for 30 minutes before the tank is drained".',
        evidence="The pump must rest for 30 minutes before the tank is drained",
        subject="quote",
        start=16,
        end=77,
    )
    assert text[found.start : found.end] == "The pump must rest for 20 minutes before the tank is drained."


RIGHT = """
The guide says "Never open the red valve while the pump is running."
The guide says “never open the red valve, while the pump is running”.
The guide says «Never open the red valve while the pump is running».
The guide says "never open the red   valve while the pump is running,"
The guide says "Never open the red valve ... before the tank is drained."
The guide says "Never open the red valve […] the pump must rest for 30 minutes."
The guide says "the pump must rest for thirty minutes [as a rule] before the tank is drained"
The guide says "[It] must rest for 30 minutes before the tank is drained."
The guide says "the boiler was tested in the well known lab of Ostria, at 3.5 bar"
The guide says "The filter should be changed every six months by a trained fitter."
The guide says "The filters should be changed every 6 months by a trained fitter."
The note reads "It's 'fully paid' and leaves the warehouse on Friday".
According to Lena Orth, "the filter should be changed every six months".
The guide says "Never open the red valve
The guide says "Never open the red valve while the pump is runni
As I said, "it is best to leave the thing alone for now".
The guide does not say "the red valve may be opened by anyone at any time".
The guide never claims "you must always open the red valve while the pump is running".
You could reply "Thank you very much for the detailed letter of last week".
Search for "how to drain a tank with a broken pump" on the web.
It is a so-called "smart" boiler with a "green" label.
"Where have you been all this long and rainy day?" she asked.
Her favourite book is "The Long Way to a Small and Angry Planet".
The answer to the question "What does the guide say about frost and rain" is unclear.
If the guide said "frost is covered in each and every case", it would be in Section 4.2.
The word "boiler" is used in the guide.
Passage 2 says that old burners may not be sold.
It may not be sold (passages 1 and 2).
According to passage 1, 10 minutes are enough.
It is in section 1.2, 14 pages on.
See [1] and [2], or [1, 2].
As Section 4.2 of the warranty says, frost is not covered.
The guide explains it in section 1.2.
The guide refers to Section 4 of the warranty.
Articles 3, 4 and 6 of the guide are of use here.
Article 12 of the Geneva Convention says so.
In Chapter 7 we saw that x = 4.
Table 3 has four legs.
1. Close the valve.
The set [4, 5] and the array a[7] are fine, and so is f(x)[9].
In 1998, Python 3.11 and version 2.4.1 did not exist.
See https://heat.test-labs.org/guide/v2 for more.
The guide is at heat.test-labs.org/guide.
See HTTPS://WWW.HEAT.test-labs.org/guide/v2/.
You can find Python at https://www.python.org/downloads/.
Try https://example.com/your/path or http://localhost:8000/x.
The guide cites doi:10.1234/HEAT.77.
The guide mentions RFC 7231.
Your order A-1034 is on its way.
Your order "A 1034" is on its way.
The pump is in src/boiler/pump.py:12.
The readme lists pump.py and boiler/valve.py.
I have created src/boiler/tank.py for you.
Save it as src/boiler/new_valve.py.
In order 15000 of them were made.
The source of 12 problems, the result 4 to 3.
`print("the pump must rest for 20 minutes before the tank is drained")`
{"answer": "The pump must rest for 20 minutes before the tank is drained."}
I call find with {"q": "The pump must rest for 20 minutes before the tank is drained."}
To quote Shakespeare, "to be or not to be, that is the question".
According to the passage, Section 230 of the Communications Decency Act protects platforms.
The document provides a list of 10 items in figure 2.
The article was published in Nature (vol. 12, pages 33-48).
Step 3: open the valve. Result 5: fine. Rule 34 is well known.
In case 1234 people come, order 20 pizzas.
You can read more on https://docs.python.org/3/library/re.html and www.wikipedia.org/wiki/Boiler.
The guide notes that the phrase "there is no such thing as a free lunch" is common.
I think the user wants me to say "the boiler guide says that frost is not covered".
12" pipes and 15" pipes are not the same as 20" pipes in the guide.
""".strip().split("\n")

# A statement, with a mark on both sides of what is wrong in it, and the score.
MARKED: list[tuple[str, float]] = [
    ('The guide says "‹Always open the red valve while the pump is running.›"', SURE),
    ('The guide says "‹Never open the blue valve while the pump is running.›"', SURE),
    ("The guide says “‹the pump need not rest for 30 minutes before the tank is drained›”.", SURE),
    ('It is clear: "‹A burner that is older than 25 years may not be sold in any shop.›"', SURE),
    ('It is clear: "‹A burner that is older than 15 years may be sold in any shop.›"', SURE),
    (
        'The guide says "‹Never open the red valve ... the pump must rest for 90 minutes before the tank is drained.›"',
        SURE,
    ),
    ('The boiler "‹was tested in the well-known lab of Kargate, at 3.5 bar›".', SURE),
    ('The note reads "‹It\'s fully paid and leaves the warehouse on Monday›".', SURE),
    ('According to the guide, "‹the owner shall keep a written log of all repairs›".', ABSENT),
    ('Lena Orth said, "‹we have never seen such a clean burner before›".', ABSENT),
    ('The document states: "‹all tenants have to pay for the oil themselves›', ABSENT),
    ("It may not be sold (‹passage 4›).", SURE),
    ("Passages 1, 2 and ‹5› agree.", SURE),
    ("Old burners may not be sold [‹3›].", SURE),
    ("The guide explains it in ‹section 9.4›.", SURE),
    ("The guide says so in ‹Article 12›.", SURE),
    ("According to the guide, ‹chapter 11› has more.", ABSENT),
    ("‹Section 7.3› is about frost.", WEAK),
    ("The guide is found at ‹https://heat.test-labs.org/guide/v3›.", ABSENT),
    ("According to the source ‹https://boilers.org/a/1› it is safe.", ABSENT),
    ("More at ‹https://heat.test-labs.org/shop›.", WEAK),
    ("The guide cites doi ‹10.1234/heat.78›.", ABSENT),
    ("The guide cites arXiv:‹2406.06144›.", ABSENT),
    ("The guide cites ISBN ‹978-3-16-148410-0›.", ABSENT),
    ("The guide cites RFC ‹9110›.", ABSENT),
    ("Your order ‹A-1043› is on its way.", SURE),
    ("Order number: **‹B-1034›** is late.", SURE),
    ("The pump is in ‹src/boiler/pumps.py›.", ABSENT),
    ("The bug is at ‹lib/heat/main.py:88›.", ABSENT),
    ("The tests are in ‹lib/heat/main.py›.", WEAK),
]
WRONG = [(re.sub("[‹›]", "", text), text[text.index("‹") + 1 : text.index("›")], score) for text, score in MARKED]


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_there_or_not_attributed_is_clean(text: str) -> None:
    assert examine(text) == ()
    assert examine(text, channel="reasoning") == ()


@pytest.mark.parametrize(("text", "span", "score"), WRONG)
def test_what_is_attributed_and_not_there_is_found(text: str, span: str, score: float) -> None:
    (found,) = examine(text)
    assert (text[found.start : found.end], found.score) == (span, score)
    assert found.reason.endswith(".")


@pytest.mark.parametrize(
    ("text", "correction"),
    [
        ("Your order A-1043 is on its way.", "The order number given is A-1034."),
        ("The guide is found at https://heat.test-labs.org/guide/v3.", "The address given is https://heat.test-labs.org/guide/v2."),
        ("The guide cites doi 10.1234/heat.78.", "The DOI given is 10.1234/heat.77."),
        ("The pump is in src/boiler/pumps.py.", "The file given is src/boiler/pump.py."),
        ("It may not be sold (passage 4).", ""),
        ('According to the guide, "the owner shall keep a written log of all repairs".', ""),
    ],
)  # fmt: skip
def test_a_correction_is_what_the_sources_have_instead(text: str, correction: str) -> None:
    (found,) = examine(text)
    assert found.correction == correction


@pytest.mark.parametrize(("text", "span", "score"), WRONG)
def test_a_plain_chat_is_never_interrupted_for_novelty(text: str, span: str, score: float) -> None:
    assert examine(text, ground(evidence="")) == ()
    assert all(found.score < 0.85 for found in examine(text, ground(evidence="", system=EMPTY)))


@pytest.mark.parametrize(("text", "span", "score"), WRONG)
def test_the_users_own_words_clear(text: str, span: str, score: float) -> None:
    assert examine(text, ground(user=f"I mean {span}, [3], passage 5, chapter 11, section 7.3, article 12.")) == ()


def test_the_users_own_words_never_correct() -> None:
    text = 'It says "The pump must rest for 20 minutes before the tank is drained."'
    assert examine(text, ground(evidence=EMPTY, user=GUIDE)) == ()
    (found,) = examine("Your order A-1043 is ready.", ground(evidence=EMPTY, user="My order is A-1034."))
    assert (found.score, found.correction) == (WEAK, "")


@pytest.mark.parametrize(
    ("context", "text", "why"),
    [
        (ground(evidence=""), 'The guide says "a b c d e f".', "no evidence"),
        (ground(evidence="x" * 199), 'The guide says "a b c d e f".', "no evidence"),
        (ground(evidence="", question="x" * 500), 'The guide says "a b c d e f".', "no evidence"),
        (ground(question="Write a story about it."), "Passage 9 says so.", "the question asks for invention"),
        (ground(), "The pump is old.", "no citation"),
        (ground(), "```python\nopen('src/boiler/pumps.py:88')\n```", "code"),
    ],
)
def test_where_there_is_nothing_to_check_it_does_not_apply(context: Context, text: str, why: str) -> None:
    segment = Segment(id=0, channel="content", start=0, end=len(text), text=text, attempt=0)
    assert CHECK.examine(segment, context) == NotApplicable(why)


def test_a_request_to_rewrite_may_change_what_is_quoted() -> None:
    text = '"Never open the blue valve while the pump is running."'
    assert len(examine(text)) == 1
    assert examine(text, ground(question="Rewrite the first rule for me.")) == ()


@pytest.mark.parametrize(("opened", "found"), [("So:\n```\nx = 1", 0), ("```\nx\n```", 1), ("", 1)])
def test_a_code_block_that_is_still_open_holds_no_citations(opened: str, found: int) -> None:
    kept: list[Segment] = []
    for number, (channel, text) in enumerate([("reasoning", "```\nnot closed"), ("content", opened)]):
        where: Literal["reasoning", "content"] = "reasoning" if channel == "reasoning" else "content"
        kept.append(Segment(id=number, channel=where, start=0, end=len(text), text=text, attempt=0))
    context = Context(evidence=ground().evidence, standing=lambda: tuple(kept))
    assert len(examine("see order A-1043", context)) == found


def test_marks_count_the_passages_that_a_client_gives_apart() -> None:
    passages = tuple(Passage(source="evidence", text=f"{'word ' * 30}{n}.") for n in "abc")
    context = Context(evidence=Evidence(passages=passages))
    assert examine("It is so [3] and passage 3 agrees.", context) == ()
    (found,) = examine("It is so [4].", context)
    assert (found.score, found.reason) == (WEAK, "there is no source [4] in what is given.")


def test_the_words_of_a_quote_can_be_asked_for() -> None:
    text = 'The guide says "open the blue valve".'
    segment = Segment(id=0, channel="content", start=0, end=len(text), text=text, attempt=0)
    assert CHECK.examine(segment, ground()) == NotApplicable("no citation")
    eager = plugin(plugin.Params(least_words=4), Resources())
    assert eager.examine(segment, ground()) != ()


def test_the_cases_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told_of = (
        "{0} number {1} stands beside the old harbour wall. It is {1} metres high and was painted by a careful master"
    )
    more = " in 18{1}. It will keep its colour for many years to come."
    contexts = [
        GUIDE + "\n".join((told_of + more).format(name, n) for n in range(11, 20)) for name in ("Statue", "Column")
    ]
    rows = [
        {
            "context": text,
            "question": None,
            "response": "It is old.",
            "hallucinated": False,
            "dataset": "x",
            "task": "y",
        }
        for text in contexts
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    made = list(citation_cases.cases(contexts, random.Random(1)))
    assert len({case.kind for case in made}) >= 15
    told = [citation_cases.interrupts(citation_cases.findings(case.text, case.evidence)) > 0 for case in made]
    assert [case.text for case, is_told in zip(made, told, strict=True) if is_told and not case.is_wrong] == []
    assert sum(told) >= 0.85 * sum(case.is_wrong for case in made)
    citation_cases.main(tmp_path)
    assert "precision 1.0000" in capsys.readouterr().out


WORDS = st.lists(st.sampled_from(GUIDE.split()), min_size=5, max_size=30).map(" ".join)
PIECES = st.sampled_from(
    '"|“|”|the guide says|passage 4|[7]|Section 9.9|https://x.org/a|…|...|`|\n|order A-1043|a/b.py:3|[|]|4'.split("|")
)


@given(
    st.integers(0, 60),
    st.integers(5, 25),
    st.sampled_from(["upper", "lower", "title"]),
    st.sampled_from(['"{}"', "“{}”", "«{}.»"]),
)
def test_what_stands_in_a_source_is_never_flagged(start: int, size: int, case: str, marks: str) -> None:
    words = "".join(c for c in GUIDE.partition("[2]")[0] if c not in '"“”[]').split()
    quote = getattr(" ".join(words[start : start + size]), case)()
    context = ground(evidence=" ".join(words))
    assert [f for f in examine(f"The guide says {marks.format(quote)}", context) if f.subject == "quote"] == []


@given(st.lists(st.one_of(PIECES, WORDS, st.text(max_size=8)), max_size=14), st.text(max_size=300))
def test_never_raises_and_spans_are_inside(pieces: list[str], more: str) -> None:
    text = " ".join(pieces)
    for found in examine(text, ground(evidence=GUIDE + more, user=more[:50])):
        assert found.end is not None
        assert 0 <= found.start < found.end <= len(text)
        assert 0 < found.score <= 1
