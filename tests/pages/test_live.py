"""The live view: streams as they run."""

from __future__ import annotations

import asyncio
import json

import pytest
from playwright.async_api import Route, expect

from tests.pages.site import Site, Tab

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("pages")]


async def test_a_response_is_seen_while_it_runs_and_its_claim_struck_through(tab: Tab, site: Site) -> None:
    page = await tab.go("live")
    await expect(page.get_by_text("connected", exact=True)).to_be_visible()
    await asyncio.to_thread(site.ask, "sum for the live view")
    card = page.locator(".streams .card").first
    await expect(card).to_contain_text("sum for the live view")
    await expect(card.locator(".is-reasoning .t-claim")).to_have_text("12 * 4 = 46.")
    await expect(card.locator("ins")).to_have_text("No, 12 * 4 is not 46. 12 * 4 = 48.")
    await expect(card.locator(".is-done")).to_contain_text("1 interruption")
    newest = page.locator(".recent a").first
    await expect(newest).to_have_text("12 * 4 = 46.")
    await tab.picture("live")
    await newest.click()
    await expect(page.get_by_role("heading", name="The claim, interrupted")).to_be_visible()


async def test_what_was_taken_back_is_shown_struck_through(tab: Tab, site: Site) -> None:
    page = await tab.go("live")
    await expect(page.get_by_text("connected", exact=True)).to_be_visible()
    await asyncio.to_thread(site.ask, "taken back live")
    card = page.locator(".streams .card").first
    await expect(card.locator(".is-content .t-retracted")).to_have_text("12 * 4 = 46.")
    await expect(card.locator(".is-content ins")).to_contain_text("48")


async def test_html_is_text(tab: Tab, site: Site) -> None:
    page = await tab.go("live")
    await expect(page.get_by_text("connected", exact=True)).to_be_visible()
    await asyncio.to_thread(site.ask, "<b>script</b>")
    await expect(page.locator(".streams .asked").first).to_have_text("<b>script</b>")
    await expect(page.locator(".streams .is-done").first).to_be_visible()
    assert await page.locator("main img, main script, main .streams b").count() == 0
    assert await page.title() == "Live · guard"


async def test_a_connection_that_breaks_is_made_again(tab: Tab) -> None:
    page = tab.page
    broken = {"left": 2}

    async def route(route: Route) -> None:
        broken["left"] -= 1
        await (route.abort() if broken["left"] >= 0 else route.continue_())

    await page.route("**/guard/api/live", route)
    await tab.go("live")
    await expect(page.locator(".pulse")).to_contain_text("The server cannot be reached.")
    await expect(page.get_by_text("connected", exact=True)).to_be_visible()


async def test_what_ended_while_nobody_looked_does_not_seem_to_run(tab: Tab) -> None:
    begun = {"type": "begin", "session": "s", "model": "m", "policy": "p", "question": "lost", "at": 1, "texts": True}
    bodies = [f"data: {json.dumps(begun)}\n\n"]

    async def route(route: Route) -> None:
        if bodies:
            await route.fulfill(body=bodies.pop(), content_type="text/event-stream")
        else:
            await route.continue_()

    await tab.page.route("**/guard/api/live", route)
    page = await tab.go("live")
    await expect(page.get_by_text("connected", exact=True)).to_be_visible()
    await expect(page.locator(".streams .card")).to_contain_text("its end was not seen")
    await expect(page.locator(".is-running")).to_have_count(0)
