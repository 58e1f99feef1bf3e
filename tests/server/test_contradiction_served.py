"""A contradiction inside one turn, through guard: the second statement is interrupted, and then forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.live import Live, answer, policy_file, serving, settings

FIRST = "Ada Velm was born in 1912. She painted the sea. "
WRONG = "Ada Velm was born in 1921."
TOLD = "you said earlier that Ada Velm was born in 1912."


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("served")
    policy = policy_file(folder, "ledger", checks=[{"check": "contradiction", "interrupt_at": 0.85, "flag_at": 0.5}])
    with serving(settings(folder, policies={"default": policy, "allowed": ["off"]})) as live:
        yield live


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_reasoning_that_contradicts_itself_is_interrupted_with_what_was_said(guarded: Live, cut: int) -> None:
    again = [{"reasoning": " Ada Velm was born in 1912, then."}, {"content": "In 1912."}]
    guarded.say(answer([{"reasoning": FIRST + WRONG + " So it is."}], again, cut=cut))
    heard = guarded.stream()
    (event,) = heard.events
    assert (event["event"], event["check"], event["channel"]) == ("interruption", "contradiction", "reasoning")
    assert event["reason"] == TOLD
    assert heard.text() == "In 1912."
    made = guarded.interruptions()[-1].interruption
    assert (made.claim.text.strip(), made.correction) == (WRONG, "")
    assert "No, " in made.put_in


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_an_answer_that_contradicts_the_reasoning_is_corrected_and_the_claim_forgotten(guarded: Live, cut: int) -> None:
    # The second attempt agrees with the first statement; what was cut out must not count against it.
    guarded.say(
        answer([{"reasoning": FIRST}, {"content": WRONG}], [{"content": " Ada Velm was born in 1912."}], cut=cut)
    )
    heard = guarded.stream()
    assert [event["event"] for event in heard.events] == ["retraction"]
    assert WRONG not in heard.text()
    assert heard.text().endswith("Ada Velm was born in 1912.")


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_a_revision_that_the_model_announces_passes(guarded: Live, cut: int) -> None:
    text = FIRST + "Wait, no. " + WRONG
    guarded.say(answer([{"content": text}], cut=cut))
    heard = guarded.stream()
    assert (heard.text(), heard.events) == (text, [])
