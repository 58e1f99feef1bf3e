"""The frame: themes, the mode switch, keys, the admin key; and what every view owes to everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, BrowserContext, expect

from tests.pages.site import Site, Tab, served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("pages")]

VIEWS = ("live", "play", "interruptions", "review", "charts")

UNNAMED = """() => {
  const name = (node) => node.getAttribute("aria-label") || node.textContent.trim() || node.title
    || [...(node.labels ?? [])].map((label) => label.textContent.trim()).join("");
  const all = document.querySelectorAll("button, a, input, select, textarea, [role=img], dialog");
  return [...all].filter((node) => node.checkVisibility() && !name(node)).map((node) => node.outerHTML);
}"""
"""What can be used or seen and has no name."""

LABELLED = """() => [...document.querySelectorAll("input, select, textarea")]
  .filter((node) => !node.labels.length && !node.getAttribute("aria-label")).map((node) => node.outerHTML)"""

TWICE = """() => {
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  return ids.filter((id, place) => ids.indexOf(id) !== place);
}"""

WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light"), (2200, "dark")])
async def test_every_view_fits_and_everything_has_a_name(
    browser: Browser, site: Site, width: int, scheme: Literal["light", "dark"]
) -> None:
    site.fill(2)
    context = await browser.new_context(
        viewport={"width": width, "height": 860}, color_scheme=scheme, reduced_motion="reduce"
    )
    tab = Tab(await context.new_page(), site.live.url, None)
    await tab.reviewer("Ada")
    key = site.live.interruptions()[-1].interruption.id
    for view in (*VIEWS, f"interruptions/{key}"):
        page = await tab.go(view)
        assert await page.evaluate(WIDE) <= 0, view
        assert await page.evaluate(UNNAMED) == [], view
        assert await page.evaluate(LABELLED) == [], view
        assert await page.evaluate(TWICE) == [], view
        assert await page.locator("h1").count() == 1
        moving = "() => document.getAnimations().length"
        assert await page.evaluate(moving) == 0, view
    assert tab.complaints == []
    await context.close()


async def test_the_first_tab_stop_skips_to_the_content_and_the_order_is_that_of_reading(tab: Tab) -> None:
    page = await tab.go("charts")
    seen = []
    for _ in range(11):
        await page.keyboard.press("Tab")
        seen.append(await page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))
    assert seen[0] == "Skip to the content"
    assert seen[2:7] == ["Live", "Playground", "Interruptions", "Review", "Charts"]
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


async def test_the_theme_is_the_systems_until_one_is_chosen(tab: Tab) -> None:
    page = await tab.go("charts")
    background = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(background)
    await page.emulate_media(color_scheme="dark")
    dark = await page.evaluate(background)
    assert light != dark
    await page.keyboard.press("t")
    await expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    await page.reload()
    assert await page.evaluate(background) == light
    await page.get_by_role("button", name="Theme: light").click()
    await page.emulate_media(color_scheme="light")
    assert await page.evaluate(background) == dark


async def test_the_mode_is_switched_with_a_second_thought(tab: Tab, site: Site) -> None:
    page = await tab.go("play")
    mode = page.get_by_label("Mode", exact=True)
    await mode.select_option("off")
    await page.get_by_role("button", name="Cancel").click()
    await expect(mode).to_have_value("supervise")
    assert site.live.client.get("/guard/api/state").json()["mode"] == "supervise"
    await mode.select_option("observe")
    await page.get_by_role("button", name="Switch to observe").click()
    await expect(page.locator("#notice")).to_contain_text("Mode is observe.")
    assert site.live.client.get("/guard/api/state").json()["mode"] == "observe"


async def test_keys_lead_everywhere_and_help_names_them(tab: Tab) -> None:
    page = await tab.go("charts")
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    await expect(dialog).to_contain_text("interruptions")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.keyboard.press("g")
    await page.keyboard.press("i")
    await expect(page.get_by_role("heading", name="Interruptions", level=1)).to_be_visible()
    await tab.settled()
    await expect(page.locator("nav a[aria-current]")).to_have_text("Interruptions")
    await page.keyboard.press("/")
    await page.keyboard.type("gc?")
    await expect(page.get_by_label("Search")).to_have_value("gc?")  # who types is not understood as keys


async def test_help_can_be_reached_without_a_keyboard(tab: Tab) -> None:
    await tab.page.set_viewport_size({"width": 360, "height": 780})
    page = await tab.go("charts")
    await page.get_by_role("button", name="Keyboard shortcuts").click()
    await expect(page.get_by_role("dialog", name="Keyboard")).to_contain_text("interruptions")


@pytest.mark.parametrize("name", ["nope", "constructor", "__proto__"])
async def test_an_address_that_names_no_view_says_so(tab: Tab, name: str) -> None:
    await tab.page.goto(f"{tab.url}/guard/#/{name}")
    await expect(tab.page.locator("main")).to_contain_text("There is no such view.")


async def test_what_fails_behind_a_key_is_told(tab: Tab, site: Site) -> None:
    site.fill(1)
    page = await tab.go("interruptions")
    await page.keyboard.press("j")
    await page.route("**/api/interruptions/*", lambda route: route.abort())
    await page.keyboard.press("e")
    await expect(page.locator("#said")).to_have_text("The server cannot be reached.")
    tab.complaints.clear()  # the console has it too


async def test_a_key_is_asked_for_and_kept_for_this_tab_alone(
    context: BrowserContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUARD_ADMIN_KEY", "s3cret")
    with served(tmp_path) as site:
        site.fill(1)
        tab = Tab(await context.new_page(), site.live.url, None)
        page = tab.page
        await page.goto(f"{site.live.url}/guard/#/interruptions")
        await page.locator("dialog input").fill("wr\u00f6ng \u2713")  # no header can hold it
        await page.keyboard.press("Enter")
        await expect(page.locator("dialog input:invalid")).to_be_visible()
        await page.locator("dialog input").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("The server did not take that key.")).to_be_visible()
        await page.locator("dialog input").fill("s3cret")
        await page.keyboard.press("Enter")
        await expect(page.locator(".item")).to_have_count(1)
        await page.reload()
        await expect(page.locator(".item")).to_have_count(1)
        assert "s3cret" not in page.url
        assert await page.evaluate("Object.values(localStorage).includes('s3cret')") is False
        await page.locator(".item a").focus()
        await page.get_by_role("button", name="Export").click()
        await page.get_by_label("Also those that nobody has reviewed").check()
        async with page.expect_download() as waited:
            await page.get_by_role("link", name="Download").click()
        assert "12 * 4 = 48" in (await (await waited.value).path()).read_text()
        other = await context.new_page()
        await other.goto(f"{site.live.url}/guard/#/interruptions")
        await expect(other.locator("dialog input")).to_be_visible()
        assert tab.complaints == []
