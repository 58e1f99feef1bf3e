"""One interruption: its timeline, its judgements, its way out."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Page, expect

from tests.pages.site import ADA, EVIL, RLO, TURNED, Site, Tab

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("pages")]


LEFT_TO_RIGHT = """(node) => {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  const at = [];
  while (walker.nextNode()) {
    for (let place = 0; place < walker.currentNode.length; place += 1) {
      const range = new Range();
      range.setStart(walker.currentNode, place);
      range.setEnd(walker.currentNode, place + 1);
      const box = range.getBoundingClientRect();
      if (box.width && !walker.currentNode.parentNode.dataset.code) at.push([Math.round(box.top), box.left]);
    }
  }
  return at.length > 3 && at.every((spot, place) => !place || spot[0] > at[place - 1][0] || spot[1] > at[place - 1][1]);
}"""
"""Whether each letter stands behind the one before it."""


async def _open(tab: Tab, site: Site) -> Page:
    """The newest interruption."""
    key = site.live.interruptions()[-1].interruption.id
    return await tab.go(f"interruptions/{key}")


async def test_the_timeline_tells_it_from_the_question_to_the_answer(tab: Tab, site: Site) -> None:
    site.ask(ADA, "guard-world")
    page = await _open(tab, site)
    steps = await page.locator(".timeline h2").all_inner_texts()
    assert steps == [
        *("Asked", "The claim, interrupted", "What the checks found", "Discarded from the reasoning"),
        *("Put in by guard", "What followed", "The answer"),
    ]
    timeline = page.locator(".timeline")
    await expect(timeline.locator(".is-claim del")).to_have_text("Ada Velm was born in Dundal.")
    await expect(timeline.locator(".finding")).to_contain_text("Ada Velm was not born in Dundal.")
    await expect(timeline.locator(".is-answer")).to_contain_text("Thuria.")
    record = page.get_by_role("complementary")
    for word in ("guard-world", "default", "transformers", "token_exact", "knowledge"):
        await expect(record).to_contain_text(word)
    await tab.picture("detail")


async def test_evidence_has_its_quote_marked(tab: Tab, site: Site) -> None:
    passage = (
        "😀 The Arlen Bridge was opened in 1932 by Mayor Dora Finch. It is 412 metres long and carries four lanes of "
        "traffic. Repairs to the bridge took 15 months and did not close the footpath. Cyclists may use the northern "
        "side at any time. A toll of 2 pounds is paid by lorries alone."
    )
    site.ask("bridge: when was the Arlen Bridge opened?", guard={"evidence": passage})
    page = await _open(tab, site)
    quoted = await page.locator(".is-evidence mark").first.inner_text()
    assert "1932" in quoted
    assert quoted in passage


async def test_an_edit_stands_with_its_reviewer_and_can_be_taken_back(tab: Tab, site: Site) -> None:
    site.ask("sum to edit")
    await tab.reviewer("Reva <b>")
    page = await _open(tab, site)
    await page.keyboard.press("e")
    await expect(page.get_by_label("Correction")).to_be_focused()
    await page.get_by_label("Correction").fill("Twelve fours are forty-eight.")
    await page.get_by_label("Label").fill("sum")
    await page.get_by_role("button", name="Save").click()
    judgement = page.locator(".judgements li")
    await expect(judgement).to_contain_text("Reva <b>")
    await expect(judgement).to_contain_text("Correction: Twelve fours are forty-eight.")
    record = site.live.interruptions()[-1]
    assert record.review == "confirmed"
    assert record.revised is not None
    assert (record.revised.label, record.revised.reason) == ("sum", None)
    assert record.revised.correction == "Twelve fours are forty-eight."
    await page.locator("h1").click()
    await page.keyboard.press("z")
    await expect(judgement).to_have_count(0)
    assert site.live.interruptions()[-1].review == "unreviewed"


async def test_it_can_be_taken_along(tab: Tab, site: Site) -> None:
    site.ask("sum to download")
    page = await _open(tab, site)
    async with page.expect_download() as waited:
        await page.get_by_role("button", name="Download JSON").click()
    told = json.loads((await (await waited.value).path()).read_text())
    assert told["id"] == site.live.interruptions()[-1].interruption.id
    assert told["question"] == "sum to download"


async def test_html_is_text(tab: Tab, site: Site) -> None:
    site.ask(f"script {EVIL}")
    page = await _open(tab, site)
    await expect(page.locator(".is-prompt .said")).to_contain_text(EVIL)
    assert EVIL in await page.locator(".timeline").inner_text()
    assert await page.locator("main img, main script").count() == 0
    await page.evaluate("location.hash = '#/interruptions'")
    await expect(page.locator(".item .asked").first).to_contain_text(EVIL)
    assert await page.title() == "Interruptions · guard"


async def test_what_turns_the_direction_of_writing_is_shown_and_turns_nothing(tab: Tab, site: Site) -> None:
    question = f"turned {RLO}by \u2067the prompt\u2069"
    site.ask(question)
    page = await _open(tab, site)
    asked = page.locator(".is-prompt .said")
    assert await asked.evaluate("node => node.textContent") == question
    codes = "nodes => nodes.map((node) => node.dataset.code)"
    assert await asked.locator(".control").evaluate_all(codes) == ["U+202E", "U+2067", "U+2069"]
    assert "U+202E" in await asked.locator(".control").first.evaluate("n => getComputedStyle(n, '::before').content")
    assert await asked.evaluate(LEFT_TO_RIGHT)
    before = page.locator(".timeline .is-kept .said").first
    assert await before.evaluate("node => node.textContent") == TURNED[: TURNED.index(" 12")]
    assert await before.evaluate(LEFT_TO_RIGHT)
    await tab.picture("controls")
    await tab.go("interruptions")
    listed = page.locator(".item .asked").first
    assert await listed.evaluate("node => node.textContent") == question
    assert await listed.evaluate(LEFT_TO_RIGHT)


async def test_what_is_not_there_is_said(tab: Tab) -> None:
    page = tab.page
    await tab.go("interruptions")
    await page.evaluate("location.hash = '#/interruptions/nothing'")
    await expect(page.locator("main")).to_contain_text("there is no interruption 'nothing'")
