"""Charts: drawn from the log, readable without seeing them."""

from __future__ import annotations

import re

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
    site.ask("taken back")
    page = await tab.go("charts?days=1")
    await expect(page.locator(".tiles")).to_contain_text("responses")
    await expect(page.locator(".plot")).to_have_count(7)
    await expect(page.get_by_role("table").first).to_contain_text("arithmetic")
    await expect(page.locator(".panel")).to_contain_text(
        "Two reviewers of one claim agree in 3 of 3 pairs of judgements"
    )
    beams = page.locator("figure", has_text="Interruptions by check").locator("tr")
    counts = [float((await row.locator("td.num").inner_text()).replace(",", "")) for row in await beams.all()]
    drawn = [float(await row.locator("rect").get_attribute("width") or "") for row in await beams.all()]
    assert drawn == [100 * count / max(counts) for count in counts]
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


AXES = """async ([tops, unit, whole]) => {
  const scale = await import("./static/scale.js");
  return tops.map((top) => {
    const marks = scale.ticks(top, { whole });
    return { marks, told: scale.labels(marks, scale[unit]), top: scale.written(top, scale[unit]) };
  });
}"""

TOPS = [1e-300, 1e-12, 3e-7, 1.2e-6, 2e-6, 0.00099, 0.0009996, 0.01, 0.25, 0.9996, 1, 1.4, 3, 7, 12, 99.99, 100, 999.9]
TOPS += [1000, 1234.5, 9999, 12345, 1e5, 2.6e6, 1e9, 3.3e12, 1e15, 1e21, 1e299]
SIZES = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "%": 0.01, "s": 1, "ms": 1e-3, "µs": 1e-6}


def _read(label: str) -> float:
    """The number that a label says."""
    found = re.fullmatch(r"([\d.,]+(?:e-?\d+)?) ?(k|M|G|T|%|s|ms|µs|)", label)
    assert found, label
    return float(found[1].replace(",", "")) * SIZES[found[2]]


@pytest.mark.parametrize("unit", ["NUMBER", "SHARE", "TIME"])
async def test_labels_of_an_axis_differ_and_are_right(tab: Tab, unit: str) -> None:
    page = await tab.go("charts")
    for axis, top in zip(await page.evaluate(AXES, [TOPS, unit, False]), TOPS, strict=True):
        told = axis["told"]
        assert len(set(told)) == len(told) >= 2, told
        assert [_read(label) for label in told] == pytest.approx(axis["marks"], rel=1e-9)
        assert max(map(len, told)) <= 10
        assert axis["marks"][-1] >= top * 0.999999
        assert _read(axis["top"]) == pytest.approx(top, rel=0.006)


async def test_an_axis_of_nothing_and_of_counts(tab: Tab) -> None:
    page = await tab.go("charts")
    (nothing,) = await page.evaluate(AXES, [[0], "TIME", False])
    assert (nothing["told"], nothing["top"]) == (["0", "1 s"], "0")
    for axis in await page.evaluate(AXES, [[1, 2, 3, 5, 9, 10, 11], "NUMBER", True]):
        assert all(float(mark).is_integer() for mark in axis["marks"])
        assert len(set(axis["told"])) == len(axis["marks"])


async def test_seconds_are_written_in_the_unit_that_suits_them(tab: Tab) -> None:
    page = await tab.go("charts")
    script = 'async (values) => { const words = await import("./static/words.js"); return values.map(words.seconds); }'
    wanted = {
        0: "0 ms",
        4e-7: "0.4 µs",
        0.0009996: "1 ms",
        0.0123: "12.3 ms",
        0.9996: "1.0 s",
        9.96: "10 s",
        61: "61 s",
    }
    assert await page.evaluate(script, list(wanted)) == list(wanted.values())


async def test_the_span_is_kept_in_the_address(tab: Tab) -> None:
    page = await tab.go("charts")
    await page.get_by_label("Over").select_option("30")
    await expect(page.locator(".tiles")).to_be_visible()
    assert page.url.endswith("#/charts?days=30")
    await page.reload()
    await expect(page.get_by_label("Over")).to_have_value("30")
