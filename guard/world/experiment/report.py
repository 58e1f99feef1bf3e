"""The report of the experiment: figures.json as a Markdown file and as one HTML page.

Knows the order of the sections. What is written is a function of the figures alone: no clock, no network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guard.errors import ConfigError
from guard.world.experiment import (
    report_blocks,
    report_closing,
    report_findings,
    report_page,
    report_sections,
    report_setup,
    report_transfer,
)
from guard.world.experiment.report_blocks import Section
from guard.world.experiment.report_figures import read

TITLE = "Learning to correct oneself: the closed-world experiment"
_PARTS = (
    report_setup.done,
    report_sections.demanded,
    report_sections.believes,
    report_sections.wrong_thinker,
    report_sections.masking,
    report_sections.all_arms,
    report_findings.correcting,
    report_transfer.held_out,
    report_transfer.expert,
    report_findings.decay,
    report_findings.documents,
    report_findings.cleanliness,
    report_findings.softness,
    report_closing.failings,
    report_closing.limits,
    report_closing.again,
)


def markdown(figures: Mapping[str, Any]) -> str:
    """The report as Markdown: text and tables. Raises ConfigError for a figure that cannot be used."""
    return report_blocks.markdown(TITLE, _sections(figures))


def html(figures: Mapping[str, Any]) -> str:
    """The report as one page with pictures. Raises ConfigError for a figure that cannot be used."""
    return report_page.page(TITLE, _sections(figures))


def write(folder: Path) -> None:
    """Write report.md and report.html beside the figures.json in `folder`. Raises ConfigError where it is unusable."""
    figures = _figures(folder / "figures.json")
    pages = {"report.md": markdown(figures), "report.html": html(figures)}
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def _sections(figures: Mapping[str, Any]) -> list[Section]:
    run = read(figures)
    return [part(run) for part in _PARTS]


def _figures(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"no figures in {str(path)!r}: {error}; run guard world experiment first") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{str(path)!r} holds no object of figures; run guard world experiment again")
    return found
