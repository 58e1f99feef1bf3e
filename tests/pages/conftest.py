"""One browser and one server for all tests of the pages; each test has a tab of its own that must stay quiet.

Pictures go to the folder that GUARD_PICTURES names, else nowhere.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Error, Page, async_playwright

from tests.pages.site import Site, Tab, served

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MISSING = "NO BROWSER: the pages are not tested; install Chromium, or run `playwright install chromium`"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not looked at is said aloud, once."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if MISSING in str(report.longrepr)]
    if skipped:
        terminalreporter.write_sep("!", f"{MISSING} ({len(skipped)} tests)", red=True)


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server; its log grows from test to test."""
    with served(tmp_path_factory.mktemp("site"), world=True) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A browser of this machine, else Playwright's own; without either the tests are skipped, and the run says so."""
    async with async_playwright() as playwright:
        found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip(MISSING)
        try:
            browser = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"{MISSING} ({str(error).splitlines()[0]})")
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A fresh profile: no key, no reviewer, no theme."""
    context = await browser.new_context(viewport={"width": 1280, "height": 860}, color_scheme="light")
    context.set_default_timeout(15_000)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(context: BrowserContext, site: Site) -> AsyncIterator[Tab]:
    """A tab that has not gone anywhere. A complaint on its console, or a refused script, fails the test."""
    page: Page = await context.new_page()
    tab = Tab(page, site.live.url, Path(os.environ["GUARD_PICTURES"]) if "GUARD_PICTURES" in os.environ else None)
    yield tab
    site.live.gateway.mode = "supervise"
    assert tab.complaints == []
