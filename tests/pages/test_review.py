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
        for number in range(3):
            running.ask(f"right {number}")  # let pass
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
    shown = await page.locator(".head").text_content() or ""
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
        before = await page.locator(".head").text_content() or ""
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


async def _cleared(page: Page) -> None:
    """Judge nothing more: skip to the end of the queue."""
    for _ in range(30):
        if await page.locator(".card").count() == 0:
            return
        before = await page.locator(".head").text_content() or ""
        await page.keyboard.press("s")
        await expect(page.locator(".head")).not_to_have_text(before)


async def test_what_was_skipped_is_counted_and_can_be_taken_up_again(tab: Tab, site: Site) -> None:
    await tab.reviewer("Eve")
    page = await tab.go("review")

    def queued() -> int:
        asked: dict[str, str | int] = {"reviewer": "Eve", "limit": 500}
        return len(site.live.client.get("/guard/api/queue", params=asked).json()["data"])

    waiting = queued()
    await expect(page.locator(".head")).to_contain_text(f"{waiting} to go")
    await page.keyboard.press("s")
    await expect(page.locator(".head")).to_contain_text(f"{waiting - 1} to go, 1 skipped")
    await _cleared(page)
    await expect(page.locator(".lead")).to_have_text(f"Nothing else is waiting: {waiting} that you skipped are left.")
    await tab.picture("review-end")
    site.ask("sum for Eve")
    await page.get_by_role("button", name="Look for more").click()
    new = queued() - waiting  # the interruption, and a statement of that turn
    await expect(page.locator(".head")).to_contain_text(f"{new} to go, {waiting} skipped")
    await expect(page.locator(".card")).to_contain_text("sum for Eve")
    await _cleared(page)
    await page.get_by_role("button", name=f"Take up what was skipped ({waiting + new})").click()
    await expect(page.locator(".head")).to_contain_text(f"{waiting + new} to go")
    await expect(page.locator(".head")).not_to_contain_text("skipped")


async def test_a_full_page_of_the_queue_is_not_told_as_all_of_it(tab: Tab) -> None:
    await tab.reviewer("Fay")
    subject = {"kind": "interruption", "id": "x", "score": 0, "check": "c", "why": "w"}
    many = [subject | {"id": str(number)} for number in range(100)]
    page = tab.page
    await page.route("**/api/queue?*", lambda route: route.fulfill(json={"data": many}))
    await page.route("**/api/interruptions/*", lambda route: route.fulfill(json={"claim": "", "put_in": ""}))
    await tab.go("review")
    await expect(page.locator(".head")).to_contain_text("100+ to go")
    await page.keyboard.press("s")
    await expect(page.locator(".head")).to_contain_text("99+ to go, 1 skipped")


async def test_a_second_opinion_is_independent(tab: Tab, site: Site) -> None:
    running = site.live
    site.ask("sum judged before")
    key = running.interruptions()[-1].interruption.id
    said = {"subject": key, "ruling": "rejected", "reviewer": "Ann", "note": "no slip", "label": "fine"}
    said |= {"correction": "Words of Ann's own."}
    assert running.client.post("/guard/api/judgements", json=said).status_code == 200
    told = {"kind": "interruption", "id": key, "score": 0.9, "check": "arithmetic", "why": "second opinion"}
    await tab.page.route("**/api/queue?*", lambda route: route.fulfill(json={"data": [told]}))
    await tab.reviewer("Ben")
    page = await tab.go("review")
    await expect(page.locator(".card")).to_contain_text("second opinion")
    for word in ("Ann", "no slip", "fine", "rejected"):
        await expect(page.locator("main")).not_to_contain_text(word)
    await page.keyboard.press("e")
    await expect(page.get_by_label("Correction")).to_have_value("12 * 4 = 48.")
    await expect(page.get_by_label("Label")).to_have_value("")
    await page.keyboard.press("Escape")
    await page.keyboard.press("o")
    aside = page.get_by_role("complementary")
    await expect(aside).to_contain_text("Judged by 1 other")
    await expect(page.locator("main")).not_to_contain_text("Ann")
    await expect(page.locator(".head .chip.is-rejected")).to_have_count(0)
    await page.keyboard.press("c")
    await expect(aside.locator(".judgements")).to_contain_text("Ann")
    await expect(aside).to_contain_text("Words of Ann's own.")
    await expect(page.locator(".head .chip.is-disputed")).to_be_visible()
    await tab.go("review")
    await page.keyboard.press("z")
    await expect(page.locator(".others .judgements")).to_contain_text("Ann")
    await tab.picture("review-others")


async def test_what_others_said_is_shown_to_who_asks_for_it(tab: Tab, site: Site) -> None:
    key = site.live.interruptions()[0].interruption.id
    said = {"subject": key, "ruling": "confirmed", "reviewer": "Ann"}
    assert site.live.client.post("/guard/api/judgements", json=said).status_code == 200
    await tab.reviewer("Gus")
    page = await tab.go(f"interruptions/{key}")
    await expect(page.locator(".judgements")).to_have_count(0)
    await page.get_by_role("button", name="Show it now").click()
    await expect(page.locator(".judgements")).to_contain_text("Ann")


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
