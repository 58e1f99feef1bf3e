"""The playground: what a client gets, with guard's acts visible in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.pages.site import ADA, EVIL, Site, Tab, served
from tests.server.live import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("pages")]


async def _say(page: Page, text: str, model: str = "m") -> None:
    await page.get_by_label("Model", exact=True).select_option(model)
    await page.get_by_label("Message").fill(text)
    await page.get_by_label("Message").press("Enter")


async def test_a_chat_is_interrupted_in_sight(tab: Tab) -> None:
    page = await tab.go("play")
    await page.get_by_role("button", name=ADA).click()
    turn = page.locator(".turn.is-model")
    await expect(turn.locator(".is-reasoning .t-claim")).to_have_text("Ada Velm was born in Dundal.")
    await expect(turn.locator("ins.t-guard")).to_contain_text("No, Ada Velm was not born in Dundal.")
    await expect(turn.locator(".is-content")).to_have_text("Thuria.")
    await expect(turn).not_to_have_class("is-running")
    await tab.picture("play")
    await turn.get_by_role("link", name="timeline").click()
    await expect(page.get_by_role("heading", name="Interruption", exact=True)).to_be_visible()


async def test_a_claim_stands_where_it_stands_whatever_characters_are_before_it(tab: Tab) -> None:
    page = await tab.go("play")
    await _say(page, "sum")
    reasoning = page.locator(".flow.is-reasoning")
    await expect(reasoning.locator(".t-claim")).to_have_text("12 * 4 = 46.")
    assert (await reasoning.inner_text()).startswith("There are 12 boxes of 4 😀. 12 * 4 = 46. No, 12 * 4 is not 46.")


async def test_what_is_taken_back_is_marked_and_not_shown(tab: Tab) -> None:
    page = await tab.go("play")
    await _say(page, "taken back")
    content = page.locator(".flow.is-content")
    await expect(content.locator("ins")).to_contain_text("12 * 4 = 48")
    await expect(content.locator(".t-retracted")).to_have_text("taken back")
    assert "46" not in await content.inner_text()
    await expect(page.locator(".acts")).to_contain_text("taken back before it was sent")


async def test_html_of_the_prompt_and_of_the_model_is_text(tab: Tab) -> None:
    page = await tab.go("play")
    await _say(page, f"script {EVIL}")
    await expect(page.locator(".turn.is-user")).to_contain_text(EVIL)
    await expect(page.locator(".flow.is-content")).to_contain_text(EVIL)
    await expect(page.locator(".flow.is-reasoning")).to_contain_text("{{7*7}}")
    assert await page.locator("main img, main script").count() == 0
    assert await page.title() == "Playground · guard"


async def test_errors_are_told_in_words(tab: Tab) -> None:
    page = await tab.go("play")
    await _say(page, "break")
    await expect(page.get_by_role("alert")).to_contain_text("the upstream broke")
    await expect(page.locator(".flow.is-content")).to_have_text("It begins")
    await _say(page, "refuse")
    await expect(page.get_by_role("alert").last).to_contain_text("too many")


async def test_an_answer_can_be_stopped(tab: Tab, site: Site) -> None:
    page = await tab.go("play")
    await _say(page, "slow")
    await expect(page.locator(".t-claim")).to_be_visible()
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("alert")).to_have_text("Stopped.")
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert eventually(lambda: site.live.backend.open_turns == 0)


async def test_what_was_cleared_while_it_was_written_is_not_in_the_next_request(tab: Tab) -> None:
    page = await tab.go("play")
    await _say(page, "tell")
    await expect(page.locator(".flow.is-content")).to_contain_text("Once upon a time.")
    await page.get_by_role("button", name="Clear").click()
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    async with page.expect_request("**/v1/chat/completions") as sent:
        await _say(page, "hello")
    assert json.loads((await sent.value).post_data or "")["messages"] == [{"role": "user", "content": "hello"}]


async def test_policy_and_evidence_go_with_the_request(tab: Tab, site: Site) -> None:
    page = await tab.go("play")
    await page.get_by_label("Policy").select_option("retract")
    await page.get_by_label("Evidence").fill("The Arlen Bridge was opened in 1932.\n\nIt is 412 metres long.")
    async with page.expect_request("**/v1/chat/completions") as sent:
        await _say(page, "bridge")
    body = json.loads((await sent.value).post_data or "")
    assert body["guard"] == {
        "policy": "retract",
        "evidence": ["The Arlen Bridge was opened in 1932.", "It is 412 metres long."],
    }
    await expect(page.locator(".flow.is-content")).to_be_visible()


async def test_a_chat_goes_on_with_what_was_said(tab: Tab) -> None:
    page = await tab.go("play")
    await _say(page, "hello")
    await expect(page.locator(".flow.is-content")).to_have_text("Hello.")
    async with page.expect_request("**/v1/chat/completions") as sent:
        await _say(page, "again")
    roles = [message["role"] for message in json.loads((await sent.value).post_data or "")["messages"]]
    assert roles == ["user", "assistant", "user"]
    await page.get_by_role("button", name="Clear").click()
    await expect(page.locator(".turn")).to_have_count(0)


async def test_a_client_key_is_asked_for_in_words(context: BrowserContext, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("k3y\n", encoding="utf-8")
    with served(tmp_path, server={"client_keys_file": tmp_path / "keys"}) as site:
        tab = Tab(await context.new_page(), site.live.url, None)
        page = await tab.go("play")
        await _say(page, "hello")
        await expect(page.get_by_role("alert")).to_contain_text("a valid client key is required")
        await expect(page.get_by_label("Client key (required)")).to_be_focused()
        await page.keyboard.type("k3y")
        await _say(page, "hello")
        await expect(page.locator(".flow.is-content")).to_have_text("Hello.")
        assert tab.complaints == []
