"""What is in the files of the pages: no way for a text to become markup, no code but ours, colours that can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "guard" / "server" / "static"
SCRIPTS = sorted(STATIC.rglob("*.js"))
FILES = sorted(path for path in STATIC.rglob("*") if path.is_file())
FORBIDDEN = r"innerHTML|outerHTML|insertAdjacentHTML|\beval\b|document\.write|new Function|DOMParser|srcdoc|setHTML"
FORBIDDEN += r"|createContextualFragment|javascript:|https?://(?!www\.w3\.org/2000/svg)"
PAIRS = [
    *[("ink", ground) for ground in ("bg", "surface", "hover", "tint", "mark")],
    *[("muted", ground) for ground in ("bg", "surface", "hover", "tint")],
    *[("accent", ground) for ground in ("bg", "surface", "tint")],
    *[("on-accent", "accent"), ("bad", "bad-bg"), ("good", "good-bg"), ("warn", "warn-bg"), ("bad", "surface")],
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_text_can_become_markup_and_nothing_comes_from_elsewhere(path: Path) -> None:
    assert re.findall(FORBIDDEN, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_small_and_says_what_it_is(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(("/**", "//"))
    assert len(lines) < 250
    assert max(map(len, lines)) <= 120


def test_the_page_has_no_inline_script_or_style() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=", page) == []
    assert set(re.findall(r"(?:src|href)=\"static/([^\"]+)", page)) <= {path.name for path in FILES}


def test_every_module_is_imported_by_another_or_by_the_page() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (*SCRIPTS, STATIC / "index.html"))
    assert [path.name for path in SCRIPTS if not re.search(rf"[./]{re.escape(path.name)}\"", text)] == []


def _themes() -> list[dict[str, str]]:
    blocks = re.findall(r":root[^{]*\{([^}]*--bg[^}]*)\}", (STATIC / "guard.css").read_text(encoding="utf-8"))
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks]


def _light(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_colours_can_be_read(ink: str, ground: str) -> None:
    light, *dark = _themes()
    assert len(dark) == 2
    assert dark[0] == dark[1]  # chosen, or the system's: the same
    for theme in (light, dark[0]):
        brighter, darker = sorted((_light(theme[ink]), _light(theme[ground])), reverse=True)
        assert (brighter + 0.05) / (darker + 0.05) >= 4.5, (ink, ground)
