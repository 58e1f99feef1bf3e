"""The marks on a growing text: where they stand, however the text was cut on its way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pages.site import TURNED, Tab

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("pages")]

TEXT = "Well 😀. 12 * 4 = 46. So 👩‍👩‍👧 it is 46"
CLAIM = " 12 * 4 = 46."
START = len("Well 😀.")
END = START + len(CLAIM)

PLAYED = """async ([text, size, marks]) => {
  const { Flow } = await import("./static/flow.js");
  const flow = new Flow(document.createElement("p"));
  const characters = [...text];
  for (let at = 0; at < characters.length; at += size) flow.add(characters.slice(at, at + size).join(""));
  for (const [name, ...given] of marks) flow[name](...given);
  const parts = [...flow.root.children].map((node) => [node.className.slice(2), node.textContent]);
  const codes = [...flow.root.querySelectorAll(".control")].map((node) => node.dataset.code);
  return { parts, codes, text: flow.text, kept: flow.kept };
}"""

ACTS = """async (events) => {
  const { Turn } = await import("./static/turn.js");
  const turn = new Turn();
  const say = (content, guard) => turn.take({ guard, choices: [{ delta: content ? { content } : {} }] });
  say("One. Two. Three.");
  for (const [guard, text] of events) say(text, guard);
  const marked = [...turn.body.querySelector(".flow").children];
  const parts = marked.map((node) => [node.className.slice(2), node.textContent]);
  return { parts, acts: turn.acts.innerText, links: turn.acts.querySelectorAll("a").length };
}"""


async def _played(tab: Tab, size: int, *marks: list[Any]) -> Any:
    return await tab.page.evaluate(PLAYED, [TEXT, size, list(marks)])


async def test_cutting_never_matters(tab: Tab) -> None:
    await tab.go("charts")
    marks: list[list[Any]] = [["mark", START, END, "claim"], ["mark", END, len(TEXT), "discarded"]]
    marks += [["add", " No. It is 48.", "guard"], ["add", " Bye."]]
    seen = [await _played(tab, size, *marks) for size in (1, 2, 3, 7, 11, len(TEXT))]
    assert all(one == seen[0] for one in seen)
    assert seen[0]["parts"] == [
        *(["model", "Well 😀. "], ["claim", CLAIM.strip()], ["model", " "], ["discarded", TEXT[END:].strip()]),
        *(["space", " "], ["guard", "No. It is 48."], ["model", " Bye."]),
    ]
    assert seen[0]["text"] == f"{TEXT} No. It is 48. Bye."
    assert TEXT[END:].strip() not in seen[0]["kept"]


async def test_invisible_characters_are_shown_where_they_are_and_count_as_what_they_are(tab: Tab) -> None:
    await tab.go("charts")
    start = len("Left \u202eright\u2066.")
    end = TURNED.index(" it is")
    for size in (1, 2, 5, len(TURNED)):
        played = await tab.page.evaluate(PLAYED, [TURNED, size, [["mark", start, end, "claim"]]])
        assert played["text"] == TURNED
        kinds = [["model", TURNED[: start + 1]], ["claim", TURNED[start + 1 : end]], ["model", TURNED[end:]]]
        assert played["parts"] == kinds
        assert played["codes"] == ["U+202E", "U+2066", "U+202E", "U+E0041", "U+200B"]


async def test_a_claim_known_by_its_words_is_struck_where_it_was_said_last(tab: Tab) -> None:
    await tab.go("charts")
    for size in (1, 5, len(TEXT)):
        played = await _played(tab, size, ["strike", CLAIM], ["discard"], ["add", " No.", "guard"])
        kinds = {kind: text for kind, text in played["parts"] if text.strip()}
        assert kinds["claim"] == CLAIM.strip()
        assert kinds["discarded"] == TEXT[END:].strip()
        assert kinds["guard"] == "No."
    assert ["claim", CLAIM.strip()] not in (await _played(tab, 3, ["strike", "never said"]))["parts"]


async def test_what_is_taken_back_takes_no_room(tab: Tab) -> None:
    await tab.go("charts")
    played = await _played(tab, 4, ["retract", "a lie"], ["add", " True.", "guard"], ["mark", START, END, "claim"])
    assert played["text"] == f"{TEXT} True."
    assert ["retracted", "a lie"] in played["parts"]
    assert ["claim", CLAIM.strip()] in played["parts"]


async def test_what_was_left_standing_is_told_as_that(tab: Tab) -> None:
    await tab.go("charts")
    event = {"v": 1, "id": "a.0.s1", "channel": "content", "discarded": None, "check": "phrase", "reason": "No."}
    event |= {"correction": ""}
    events = [
        [event | {"event": "late", "span": [5, 9]}, None],
        [event | {"event": "limit", "span": [10, 16]}, " Mind: no."],
        [event | {"event": "unscanned", "span": [26, 26], "reason": "", "why": "hold"}, None],
    ]
    played = await tab.page.evaluate(ACTS, events)
    assert ["passed", "Two."] in played["parts"]
    assert ["passed", "Three."] in played["parts"]
    assert ["guard", "Mind: no."] in played["parts"]
    assert played["parts"][-1] == ["mark", "not checked"]
    assert "hold" in played["acts"]
    assert played["links"] == 0  # none of these is on record as an interruption
