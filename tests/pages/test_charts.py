"""Charts: drawn from the log, readable without seeing them."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.pages.site import Site, Tab

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("pages")]


def _judged(site: Site) -> None:
    site.fill(3)
    for record in site.live.interruptions()[:3]:
        for reviewer in ("Ada", "Bo"):
            said = {"subject": record.interruption.id, "ruling": "confirmed", "reviewer": reviewer}
            assert site.live.client.post("/guard/api/judgements", json=said).status_code == 200


async def test_what_happened_is_drawn_and_said(tab: Tab, site: Site) -> None:
    _judged(site)
    page = await tab.go("charts?days=1")
    await expect(page.locator(".tiles")).to_contain_text("responses")
    await expect(page.locator(".plot")).to_have_count(7)
    await expect(page.get_by_role("table").first).to_contain_text("arithmetic")
    await expect(page.locator(".panel")).to_contain_text("Two reviewers of one claim agree in 100 %")
    await tab.picture("charts")
    figure = page.locator("figure", has_text="Responses").last
    plot = figure.get_by_role("img", name="Responses")
    await plot.focus()
    await page.keyboard.press("ArrowLeft")
    here = await figure.locator("output").inner_text()
    await page.keyboard.press("ArrowLeft")
    assert await figure.locator("output").inner_text() != here
    await figure.get_by_text("Table").click()
    total = len(await figure.get_by_role("row").all())
    assert total == 24


async def test_the_span_is_kept_in_the_address(tab: Tab) -> None:
    page = await tab.go("charts")
    await page.get_by_label("Over").select_option("30")
    await expect(page.locator(".tiles")).to_be_visible()
    assert page.url.endswith("#/charts?days=30")
    await page.reload()
    await expect(page.get_by_label("Over")).to_have_value("30")
