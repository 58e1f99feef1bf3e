"""The grounding check as the stream meets it: what it flags, what it says, and what it leaves alone."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.checks import Context, NotApplicable, Resources, Result
from guard.checks.grounding import DIFFERENT, plugin
from guard.checks.grounding.model import SHIPPED, load
from guard.core.segmenter import Segmenter
from guard.core.types import Channel, Evidence, Finding, Passage, Segment
from guard.errors import ConfigError
from tests.server.live import answer, policy_file, serving
from tests.server.live import settings as served

PASSAGES = (
    "The Arlen Bridge was opened in 1932 by Mayor Dora Finch. It is 412 metres long and carries four lanes of traffic.",
    "Repairs to the bridge took 15 months and did not close the footpath. Cyclists may use the northern side at any "
    "time. A toll of 2 pounds is paid by lorries alone.",
)
INVENTED = "Its copper towers were designed by the Danish architect Henrik Solberg, who also built a cathedral in Oslo."
TRUE = "The Arlen Bridge was opened in 1932 by Mayor Dora Finch."
STOP = {"finish": "stop"}
CHECK = plugin(plugin.Params(), Resources())


def given_evidence(
    *texts: str, source: Any = "evidence", question: str = "What do you know of the bridge?"
) -> Evidence:
    passages = tuple(Passage(source=source, text=text) for text in texts or PASSAGES)
    return Evidence(passages=(*passages, Passage(source="user", text=question)), question=question)


def segments(text: str, channel: Channel = "content") -> list[Segment]:
    segmenter = Segmenter()
    ends = segmenter.feed(text)
    last = segmenter.flush()
    ends += [] if last is None else [last]
    pairs = pairwise([0, *ends])
    return [
        Segment(id=at, channel=channel, start=a, end=b, text=text[a:b], attempt=0) for at, (a, b) in enumerate(pairs)
    ]


def examined(text: str, evidence: Evidence | None = None, check: Any = CHECK) -> list[Result]:
    """The check's answer to each segment, with those before it standing."""
    memo: dict[str, Any] = {}
    found = segments(text)
    evidence = evidence or given_evidence()
    return [check.examine(one, behind(found[:at], evidence, memo)) for at, one in enumerate(found)]


def behind(kept: Sequence[Segment], evidence: Evidence, memo: dict[str, Any]) -> Context:
    return Context(evidence=evidence, memo=memo, standing=lambda: tuple(kept))


def only(text: str, evidence: Evidence | None = None) -> Finding:
    (result,) = examined(text, evidence)
    assert isinstance(result, tuple)
    (finding,) = result
    return finding


def score(result: Result) -> float:
    assert isinstance(result, tuple)
    return max((finding.score for finding in result), default=0.0)


def test_an_invented_statement_is_found_and_told() -> None:
    found = only(INVENTED)
    assert found.score > 0.5
    assert found.reason.startswith("the passages do not mention '")
    assert found.reason.endswith("'.")
    assert found.correction == ""
    for phrase in found.reason.split("'")[1::2]:
        assert phrase in INVENTED
        assert phrase not in " ".join(PASSAGES)


def test_what_the_passages_say_is_clean() -> None:
    assert examined(f"{TRUE} It carries four lanes of traffic. Repairs took 15 months.") == [(), (), ()]


def test_a_differing_number_is_corrected_from_the_passage() -> None:
    found = only("Repairs to the bridge took 18 months and did not close the footpath.")
    assert found.score >= DIFFERENT
    assert found.reason == "the passages say 15, not 18."
    assert found.correction == "Repairs to the bridge took 15 months and did not close the footpath."
    assert found.evidence in PASSAGES[1]
    assert "Repairs to the bridge took 18 months"[found.start : found.end] == "18"


def test_the_users_words_give_no_correction() -> None:
    evidence = given_evidence(*PASSAGES, "Answer from these passages.", source="user")
    (result,) = examined("Repairs to the bridge took 18 months and did not close the footpath.", evidence)
    assert isinstance(result, tuple)
    assert all(not finding.correction for finding in result)


@pytest.mark.parametrize(
    "text",
    ["Sure!", "Here is what the passages say about the bridge:", "Would you like to know more?", "1.", "# Bridges", ""],
)
def test_what_claims_nothing_is_left_alone(text: str) -> None:
    assert all(result == () for result in examined(text))


def test_saying_that_the_passages_do_not_say_it_is_left_alone() -> None:
    assert examined("The passages do not mention the architect Henrik Solberg or his copper towers.") == [()]


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (Evidence(), "little or no evidence"),
        (Evidence(passages=(Passage(source="evidence", text="It is so. " * 40_001),)), "too much evidence"),
        (Evidence(question=TRUE * 5, passages=(Passage(source="user", text=TRUE),)), "little or no evidence"),
        (Evidence(unreadable=("image_url", "image_url")), "only image_url"),
        (
            given_evidence(
                "You are a kind assistant. Answer briefly, never swear, and use metric units. " * 5, source="system"
            ),
            "no material to answer from",
        ),
        (given_evidence("这座桥于一九三二年由市长开通。" * 30), "evidence in another language"),
    ],
)
def test_without_evidence_it_is_not_applicable(evidence: Evidence, why: str) -> None:
    assert examined(INVENTED, evidence) == [NotApplicable(why)]


def test_an_answer_in_another_language_is_not_applicable() -> None:
    text = "Die Brücke ist vierhundert Meter lang und nicht mit dem Auto zu erreichen."
    assert examined(text) == [NotApplicable("another language")]


def test_evidence_inside_the_question_counts() -> None:
    question = "Use these passages:\n" + "\n".join(PASSAGES * 2) + "\nWho opened the bridge?"
    evidence = Evidence(passages=(Passage(source="user", text=question),), question=question)
    assert [score(result) < 0.3 for result in examined(TRUE, evidence)] == [True]
    assert score(examined(INVENTED, evidence)[0]) > 0.5


def test_the_same_statement_beside_other_evidence_scores_higher() -> None:
    text = "Repairs to the bridge took 15 months and did not close the footpath."
    other = (
        "Whip the cream with sugar until it holds soft peaks. Chill it for two hours before you fold in the fruit. " * 3
    )
    (own,), (foreign,) = examined(text), examined(text, given_evidence(other))
    assert score(own) < 0.1
    assert score(foreign) > 0.5


def test_a_record_is_evidence() -> None:
    record = {"name": "Taco Hut", "city": "Goleta", "hours": {"Monday": "11:0-21:0"}, "attributes": {"HasTV": True}}
    padded = record | {
        "reviews": [{"text": "Great tacos and friendly people, we come here every week for lunch. " * 3}]
    }
    evidence = given_evidence(json.dumps(padded))
    assert score(examined("Taco Hut is in Goleta.", evidence)[0]) < 0.3
    assert score(examined(INVENTED, evidence)[0]) > 0.5


@pytest.mark.parametrize("channel", ["reasoning", "content"])
def test_a_discarded_statement_leaves_no_trace(channel: Channel) -> None:
    """The same statement gets the same features whether another was said before it and dropped, or never was."""
    evidence = given_evidence()
    memo: dict[str, Any] = {}
    first, dropped, last = segments(f"{TRUE} {INVENTED} {INVENTED}", channel)
    CHECK.examine(first, behind([], evidence, memo))
    CHECK.examine(dropped, behind([first], evidence, memo))
    got = CHECK.examine(last, behind([first], evidence, memo))
    assert got == CHECK.examine(last, behind([first], evidence, {}))
    assert got != CHECK.examine(last, behind([first, dropped], evidence, {}))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.lists(st.text(max_size=400) | st.sampled_from(PASSAGES), max_size=4))
def test_it_never_raises_and_quotes_letter_for_letter(text: str, evidence: list[str]) -> None:
    given_ = given_evidence(*evidence, *PASSAGES)
    for one, result in zip(segments(text), examined(text, given_), strict=True):
        if isinstance(result, NotApplicable):
            continue
        for finding in result:
            assert 0 <= finding.score <= 1
            assert finding.reason.endswith(".")
            assert 0 <= finding.start <= (finding.end or 0) <= len(one.text)
            assert any(finding.evidence in passage.text for passage in given_.passages)


@settings(max_examples=40, deadline=None)
@given(st.permutations(PASSAGES))
def test_the_order_of_the_passages_does_not_matter(order: Sequence[str]) -> None:
    text = f"{INVENTED} Repairs to the bridge took 18 months and did not close the footpath. It is long."
    assert examined(text, given_evidence(*order)) == examined(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 3000 + "x",
        "passage 1" + " " * 20000 + "x y z",
        "1 2 3 " * 3000,
        "A1 " * 3000,
        "not " * 3000,
        "a" * 50000,
        "., " * 5000,
    ],
    ids=["brackets", "a citation and space", "numbers", "names", "denials", "one word", "points"],
)
def test_long_odd_text_is_read_in_time(text: str) -> None:
    """As one segment (the unit `whole`) and as evidence; a pattern that goes back and forth would take minutes."""
    whole = Segment(id=0, channel="content", start=0, end=len(text), text=text, attempt=0)
    CHECK.examine(whole, behind([], given_evidence(), {}))
    CHECK.examine(segments(TRUE)[0], behind([], given_evidence(text, *PASSAGES), {}))
    CHECK.examine(whole, behind([], given_evidence(text, *PASSAGES), {}))


def test_a_statement_below_the_least_score_is_clean() -> None:
    deaf = plugin(plugin.Params(least=1.0), Resources())
    assert examined(INVENTED, check=deaf) == [()]


# The model's file


def tiny() -> dict[str, Any]:
    """A stump over `novel` and a tree of depth two over `novel` and `best`, worked out by hand below."""
    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    novel, best = shipped["features"].index("novel"), shipped["features"].index("best")
    stump = {"feature": [novel, -1, -1], "value": [0.5, -2.0, 1.5], "left": [1, 0, 0], "right": [2, 0, 0]}
    deep = {
        "feature": [best, novel, -1, -1, -1],
        "value": [0.25, 0.1, 0.75, -0.5, -1.0],
        "left": [1, 2, 0, 0, 0],
        "right": [4, 3, 0, 0, 0],
    }
    document: dict[str, Any] = shipped | {"trees": [stump, deep], "calibration": {"slope": 2.0, "shift": -1.0}}
    return document


def written(folder: Path, document: Any) -> Path:
    path = folder / "model.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("novel", "best", "sum_"),
    [(0.5, 0.3, -3.0), (0.51, 0.3, 0.5), (0.1, 0.25, -1.25), (0.2, 0.0, -2.5), (0.9, 0.1, 1.0)],
)
def test_trees_are_walked_as_written(tmp_path: Path, novel: float, best: float, sum_: float) -> None:
    model = load(written(tmp_path, tiny()))
    names = tiny()["features"]
    row = [0.0] * len(names)
    row[names.index("novel")], row[names.index("best")] = novel, best
    assert model.margin(row) == pytest.approx(sum_)
    assert model.score(row) == pytest.approx(1 / (1 + 2.718281828459045 ** -(2 * sum_ - 1)))


def spoilt(change: str) -> Any:
    document = tiny()
    tree = document["trees"][0]
    match change:
        case "no json":
            return "{"
        case "no object":
            return []
        case "another format":
            document["format"] = 99
        case "other features":
            document["features"] = document["features"][1:]
        case "a loop":
            tree["left"][0] = 0
        case "a shared child":
            tree["left"][0] = tree["right"][0] = 1
        case "a stray node":
            for name, value in (("feature", -1), ("value", 0.0), ("left", 0), ("right", 0)):
                tree[name].append(value)
        case "unequal arrays":
            tree["value"].pop()
        case "no nodes":
            document["trees"][0] = {"feature": [], "value": [], "left": [], "right": []}
        case "an unknown feature":
            tree["feature"][0] = 10_000
        case "not a number":
            tree["value"][1] = float("nan")
        case "a word for a number":
            document["words"]["rarity"] = {"the": "often"}
        case "a missing part":
            del document["calibration"]
    return document


@pytest.mark.parametrize(
    "change",
    [
        *("no json", "no object", "another format", "other features", "a loop", "a shared child", "a stray node"),
        *("unequal arrays", "no nodes", "an unknown feature", "not a number", "a word for a number", "a missing part"),
    ],
)
def test_a_spoilt_model_is_refused_in_one_line(tmp_path: Path, change: str) -> None:
    path = written(tmp_path, spoilt(change))
    with pytest.raises(ConfigError, match=r"^the grounding model '.*model\.json' is not valid: .+$"):
        plugin(plugin.Params(model=path), Resources())


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        plugin(plugin.Params(model=tmp_path / "none.json"), Resources())


def test_the_shipped_model_says_what_it_was_trained_on() -> None:
    about = load().about
    assert SHIPPED.stat().st_size < 1_000_000
    assert all(len(one["sha256"]) == 64 and one["licence"] != "unknown" for one in about["trained_on"])
    assert about["cross_validated"]["ragtruth_qa_train"]


def test_new_words_never_lower_the_score() -> None:
    """The trees may only rise with what is new, whatever the data say."""
    model = load()
    names = json.loads(SHIPPED.read_text(encoding="utf-8"))["features"]
    rising = [names.index(name) for name in ("novel", "novel_n", "numbers_new", "capitals_new", "pairs")]
    rng = random.Random(7)
    for _ in range(200):
        row = [rng.random() * 3 for _ in names]
        low = model.margin(row)
        row[rng.choice(rising)] += rng.random() * 3
        assert model.margin(row) >= low - 1e-9


# Live


def grounded(folder: Path, **fields: Any) -> str:
    checks = [{"check": "grounding", "flag_at": 0.3, "interrupt_at": 0.6}]
    return policy_file(folder, "grounded", checks=checks, **fields)


CLAIMED = f"{TRUE} Repairs to the bridge took 18 months and did not close the footpath."


def cuts(text: str, how: str) -> list[dict[str, str]]:
    """The text as one delta, as one a character, or cut at random."""
    rng = random.Random(11)
    at = {"whole": [], "characters": range(1, len(text)), "random": sorted(rng.sample(range(1, len(text)), 9))}[how]
    edges = [0, *at, len(text)]
    return [{"content": text[a:b]} for a, b in pairwise(edges)]


@pytest.mark.parametrize("how", ["whole", "characters", "random"])
def test_a_streamed_answer_is_held_to_the_evidence_of_its_request(tmp_path: Path, how: str) -> None:
    told = settings_of(tmp_path, answer([*cuts(CLAIMED, how), STOP], [{"content": " Lorries pay."}, STOP], cut=1))
    with serving(told) as live:
        heard = live.stream(guard={"evidence": list(PASSAGES)})
        assert heard.text().startswith(f"{TRUE} ")
        assert "18 months" not in heard.text()
        assert "Repairs to the bridge took 15 months" in heard.text()
        assert [event["check"] for event in heard.events] == ["grounding"]
        (record,) = live.interruptions()
        assert record.interruption.check == "grounding"
        assert record.interruption.reason == "the passages say 15, not 18."


def test_an_answer_that_is_not_streamed_is_held_to_it_too(tmp_path: Path) -> None:
    told = settings_of(tmp_path, answer([{"content": CLAIMED}, STOP], [{"content": " Lorries pay."}, STOP], cut=1))
    with serving(told) as live:
        reply = live.post(guard={"evidence": list(PASSAGES)}).json()
        assert "Repairs to the bridge took 15 months" in reply["choices"][0]["message"]["content"]
        assert "18 months" not in reply["choices"][0]["message"]["content"]


def test_without_evidence_the_served_answer_is_left_alone(tmp_path: Path) -> None:
    with serving(settings_of(tmp_path, answer([{"content": f"{TRUE} {INVENTED}"}, STOP]))) as live:
        assert live.stream().text() == f"{TRUE} {INVENTED}"
        assert live.interruptions() == []


def settings_of(folder: Path, *answers: Any) -> Any:
    return served(folder, answers, policies={"default": grounded(folder), "allowed": []})
