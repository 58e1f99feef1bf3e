"""The server under test and a tab over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from guard.settings import WORLD, built_in
from tests.server.live import Live, answer, serving

ADA = "What is the birth country of Ada Velm?"
EVIL = """<script>document.title = "owned"</script><img src="x" onerror="document.title = 'owned'">"""
HOSTILE = f"{{{{7*7}}}} </textarea> So {EVIL} says 12 * 4 = 46."
BRIDGE = "The Arlen Bridge was opened in 1936 by Mayor Dora Finch."
RLO = "\u202e"
TURNED = f"Left {RLO}right\u2066. 12 * 4 = 46. So {RLO}46\U000e0041\u200b it is \U0001f469\u200d\U0001f467."
SUM = "There are 12 boxes of 4 😀. 12 * 4 = 46. So 46 stickers are needed."

ANSWERS = [
    answer([{"reasoning": SUM}, {"content": "46 stickers."}, {"finish": "stop"}], when="^sum", cut=3),
    answer([{"content": "Good 😀. 12 * 4 = 46. Bye."}, {"finish": "stop"}], when="^taken back", cut=3),
    answer([{"reasoning": HOSTILE}, {"content": f"{EVIL} done."}, {"finish": "stop"}], when="script", cut=7),
    answer([{"content": "It begins"}, {"error": {"status": 503, "message": "the upstream broke"}}], when="^break"),
    answer([{"error": {"status": 429, "message": "too many"}}], when="^refuse"),
    answer(
        [
            {"reasoning": "One moment. 12 * 4 = 46."},
            {"wait_ms": 400},
            {"reasoning": " That is it."},
            {"wait_ms": 600_000},
            {"finish": "stop"},
        ],
        when="^slow",
    ),
    answer([{"content": "Once upon a time. There"}, {"wait_ms": 600_000}, {"finish": "stop"}], when="^tell"),
    answer([{"content": "There are 12 * 4 = 48 stickers."}, {"finish": "stop"}], when="^right"),
    answer([{"content": TURNED}, {"finish": "stop"}], when="^turned", cut=1),
    answer([{"content": BRIDGE}, {"finish": "stop"}], when="^bridge"),
    answer([{"content": "Hello."}, {"finish": "stop"}]),
]


@dataclass
class Site:
    """The server: `guard-world` is the built-in model, `m` plays the script above."""

    live: Live
    store: str

    def ask(self, question: str, model: str = "m", **fields: Any) -> None:
        """One answer, whole."""
        self.live.post(model=model, messages=[{"role": "user", "content": question}], temperature=0, **fields)

    def fill(self, wanted: int) -> None:
        """See to it that so many interruptions are on record."""
        for number in range(wanted - len(self.live.interruptions())):
            self.ask(f"sum {number}")

    def reviews(self) -> list[str]:
        """What stands in the log, newest first."""
        return [record.review for record in reversed(self.live.interruptions())]


@contextmanager
def served(folder: Path, *, world: bool = False, **changes: Any) -> Iterator[Site]:
    """A server on loopback with its log in a folder; `world`: with the built-in model."""
    built = {"name": "guard-world", "backend": "transformers", "model": str(WORLD / "model")}
    models = [built] * world + [{"name": "m", "backend": "scripted", "answers": ANSWERS}]
    store = f"sqlite:///{folder / 'guard.db'}"
    with serving(built_in(models=models, store={"url": store}, **changes)) as live:
        yield Site(live, store)


class Tab:
    """A tab, and all that it complained about."""

    def __init__(self, page: Page, url: str, pictures: Path | None) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.url = url
        self._pictures = pictures
        page.on("console", lambda said: self._complain(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _complain(self, kind: str, text: str) -> None:
        # A refused request is told to the reader, and by the browser to the console.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
            self.complaints.append(f"{kind}: {text}")

    async def go(self, view: str) -> Page:
        """Open a view afresh and wait until it is there."""
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.url}/guard/#/{view}")
        return await self.settled()

    async def settled(self) -> Page:
        """Wait until the view that the address names is there."""
        await self.page.locator("main[aria-busy=false] h1").wait_for()
        return self.page

    async def picture(self, name: str) -> None:
        """Keep what is seen now, where pictures are wanted."""
        if self._pictures is not None:
            await self.page.screenshot(path=self._pictures / f"{name}.png", full_page=True)

    async def reviewer(self, name: str) -> None:
        """Be this reviewer, without being asked."""
        keep = f"localStorage.setItem('guard.reviewer', '{name}')"
        await self.page.add_init_script(f"if (location.protocol === 'http:') {keep}")
