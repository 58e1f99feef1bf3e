"""The list of interruptions: filters, pages, keys, what is new, the way out to training rows."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.pages.site import ADA, Site, Tab

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("pages")]


async def test_one_is_confirmed_by_keyboard_and_ends_up_in_an_export(tab: Tab, site: Site, tmp_path: Path) -> None:
    page = await tab.go("play")
    await page.get_by_label("Model", exact=True).select_option("guard-world")
    await page.get_by_label("Message").fill(ADA)
    await page.keyboard.press("Enter")
    await expect(page.locator(".t-claim")).to_be_visible()
    await expect(page.locator(".turn.is-running")).to_have_count(0)

    await page.evaluate("location.hash = '#/interruptions?model=guard-world'")
    first = page.locator(".item").first
    await expect(first).to_contain_text("Ada Velm was born in Dundal.")
    await tab.settled()
    await page.keyboard.press("j")
    await page.keyboard.press("c")
    await page.get_by_label("Name").fill("Reva")
    await page.keyboard.press("Enter")
    await expect(first.locator(".is-confirmed")).to_be_visible()
    await page.reload()
    await tab.settled()
    await expect(first.locator(".is-confirmed")).to_be_visible()
    await tab.picture("list")

    await page.get_by_role("button", name="Export").click()
    async with page.expect_download() as waited:
        await page.get_by_role("link", name="Download").click()
    rows = [json.loads(line) for line in (await (await waited.value).path()).read_text().splitlines()]
    assert len(rows) == 1
    assert "Ada Velm was born in Velwick" in json.dumps(rows)
    command = [sys.executable, "-m", "guard", "export", "prompt_completion", "--store", site.store]
    command += ["--out", str(tmp_path / "rows.jsonl")]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Ada Velm was born in Velwick" in (tmp_path / "rows.jsonl").read_text()

    await page.keyboard.press("z")
    await expect(first.locator(".is-unreviewed")).to_be_visible()
    await page.keyboard.press("j")
    await page.keyboard.press("r")
    await expect(first.locator(".is-rejected")).to_be_visible()
    assert "rejected" in site.reviews()


async def test_filters_stand_in_the_address(tab: Tab, site: Site) -> None:
    site.fill(3)
    site.ask("taken back")
    page = await tab.go("interruptions")
    everything = int(await page.locator(".head .num").inner_text())
    await page.get_by_label("channel").select_option("content")
    await expect(page.locator(".item").first).to_contain_text("Good 😀.")
    assert page.url.endswith("#/interruptions?channel=content")
    await page.reload()
    await tab.settled()
    await expect(page.get_by_label("channel")).to_have_value("content")
    await expect(page.locator(".item .t-claim")).to_have_count(0)
    assert 0 < int(await page.locator(".head .num").inner_text()) < everything
    await page.get_by_label("score to").fill("0.2")
    await expect(page.get_by_text("Nothing on record is like this.")).to_be_visible()


async def test_days_and_words_select(tab: Tab, site: Site) -> None:
    site.ask("sum of peppercorns")
    page = await tab.go("interruptions?since=2001-01-01")
    await page.keyboard.press("/")
    await page.keyboard.type("peppercorns")
    await expect(page.locator(".item")).to_have_count(1)
    await expect(page.locator(".item .asked")).to_have_text("sum of peppercorns")
    await page.get_by_label("to day").fill("2001-01-02")
    await expect(page.get_by_text("Nothing on record is like this.")).to_be_visible()


async def test_the_list_goes_on_as_it_is_read(tab: Tab, site: Site) -> None:
    site.fill(60)
    page = await tab.go("interruptions")
    await expect(page.locator(".item").first).to_be_visible()
    total = int(await page.locator(".head .num").inner_text())
    await page.evaluate("scrollTo(0, document.body.scrollHeight)")
    await expect(page.locator(".item")).to_have_count(total)
    ids = await page.locator(".item a").evaluate_all("links => links.map(link => link.hash)")
    assert len(set(ids)) == total


async def test_new_ones_are_announced_and_shown_when_asked_for(tab: Tab, site: Site) -> None:
    site.fill(1)
    page = await tab.go("interruptions?model=m")
    await expect(page.locator(".item").first).to_be_visible()
    await asyncio.sleep(0.3)  # until the page watches
    await asyncio.to_thread(site.ask, "sum that is new")
    await asyncio.to_thread(site.ask, "sum that is newer")
    await expect(page.get_by_role("button", name="2 new")).to_be_visible()
    await asyncio.to_thread(site.ask, ADA, "guard-world")  # of another model than the filter's
    await page.keyboard.press("n")
    await expect(page.locator(".item .asked").first).to_have_text("sum that is newer")
    await expect(page.locator(".news")).to_be_hidden()


async def _at(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.hash"))


async def test_keys_move_open_and_come_back(tab: Tab, site: Site) -> None:
    site.fill(4)
    page = await tab.go("interruptions")
    await expect(page.locator(".item").first).to_be_visible()
    for key in "jjk":
        await page.keyboard.press(key)
    first = await _at(page)
    await page.keyboard.press("j")
    second = await _at(page)
    assert first != second
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Asked").wait_for()
    await tab.settled()
    assert page.url.endswith(second)
    await page.keyboard.press("b")
    await expect(page.locator(".item").first).to_be_visible()
    await page.wait_for_function("hash => document.activeElement.hash === hash", arg=second)
