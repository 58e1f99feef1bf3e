"""Review: the queue, one subject at a time, by keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from guard.core.records import Judgement
from tests.pages.site import Site, Tab, served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("pages")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server whose whole log waits for review."""
    with served(tmp_path_factory.mktemp("review")) as running:
        running.fill(6)
        yield running


def _judgements(site: Site) -> list[Judgement]:
    return list(site.live.gateway.store.iter_judgements())


async def _shown(page: Page) -> str:
    """Which subject is shown, by what the reviewer reads of it."""
    return await page.locator(".card").inner_text()


async def test_the_name_is_asked_for_once_and_keys_judge(tab: Tab, site: Site) -> None:
    before = len(_judgements(site))
    page = tab.page
    await page.goto(f"{site.live.url}/guard/#/review")
    await page.get_by_label("Name").fill("Ada")
    await page.keyboard.press("Enter")
    await expect(page.locator(".question")).to_be_focused()
    await expect(page.locator(".is-why")).to_be_visible()
    await tab.picture("review")
    await page.keyboard.press("c")
    await expect(page.locator(".head")).to_contain_text("1 judgement made")
    await page.keyboard.press("r")
    await expect(page.locator(".head")).to_contain_text("2 judgements made")
    shown = await page.locator(".head").inner_text()
    await page.keyboard.press("s")
    await expect(page.locator(".head")).not_to_have_text(shown)
    await page.keyboard.press("u")
    await expect(page.locator(".head")).to_contain_text("3 judgements made")
    made = _judgements(site)[before:]
    assert [judgement.ruling for judgement in made] == ["confirmed", "rejected", "unsure"]
    assert {judgement.reviewer for judgement in made} == {"Ada"}
    await page.reload()
    await expect(page.locator(".question")).to_be_visible()  # the name is not asked for again


async def test_a_judgement_is_taken_back_and_its_subject_comes_again(tab: Tab, site: Site) -> None:
    await tab.reviewer("Bo")
    page = await tab.go("review")
    shown = await _shown(page)
    await page.keyboard.press("c")
    await expect(page.locator(".head")).to_contain_text("1 judgement made")
    await page.keyboard.press("z")
    await expect(page.locator(".head")).to_contain_text("0 judgements made")
    assert await _shown(page) == shown


async def test_a_segment_that_was_let_pass_is_asked_about_as_one(tab: Tab, site: Site) -> None:
    await tab.reviewer("Cy")
    page = await tab.go("review")
    for _ in range(30):
        if "Should guard have interrupted" in await _shown(page):
            break
        before = await page.locator(".head").inner_text()
        await page.keyboard.press("s")
        await expect(page.locator(".head")).not_to_have_text(before)
    await expect(page.get_by_role("button", name="Rightly let pass")).to_be_visible()
    await tab.picture("review-segment")
    await page.get_by_role("button", name="Missed: should have interrupted").click()
    await expect(page.locator(".head")).to_contain_text("1 judgement made")
    made = _judgements(site)[-1]
    assert "#" in made.subject
    assert made.ruling == "rejected"


async def test_a_label_goes_with_the_ruling(tab: Tab, site: Site) -> None:
    await tab.reviewer("Di")
    page = await tab.go("review")
    await page.keyboard.press("l")
    await expect(page.get_by_label("Label")).to_be_focused()
    await page.keyboard.type("arithmetic slip")
    await page.get_by_role("radio", name="Unsure").check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".head")).to_contain_text("1 judgement made")
    made = _judgements(site)[-1]
    assert (made.label, made.ruling, made.reviewer) == ("arithmetic slip", "unsure", "Di")


async def test_an_empty_queue_says_so(tab: Tab, site: Site) -> None:
    await tab.reviewer("Ed")
    page = await tab.go("review")
    for number in range(1, 60):
        if await page.locator(".card").count() == 0:
            break
        await page.keyboard.press("c")
        await expect(page.locator(".head")).to_contain_text(f"{number} judgement")
    await expect(page.get_by_text("Nothing is waiting for you.")).to_be_visible()
    await expect(page.locator(".head")).to_contain_text("agreement")
