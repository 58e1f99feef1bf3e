"""The table in the README: clients as rows, scenarios as columns, in a cell whether it works with all its upstreams.

Pure but for `write`. Knows neither servers nor clients' processes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection

from tests.clients.matrix import CANNOT, CLIENTS, LETTERS, UPSTREAMS, Cell, Client
from tests.clients.scripts import SCENARIOS, Scenario
from tests.live.conftest import ROOT

README = ROOT / "README.md"
BEGIN, END = "<!-- clients:begin -->\n", "<!-- clients:end -->\n"


def render(tried: Collection[Cell], worked: Collection[Cell]) -> str:
    """The table and its legend, as they stand between the markers."""
    rows = [
        ["", *(scenario.title for scenario in SCENARIOS)],
        ["---"] * (1 + len(SCENARIOS)),
        ["*tried behind guard*", *(" ".join(_letters(scenario)) for scenario in SCENARIOS)],
    ]
    rows += [[client.title, *(_mark(client, each, tried, worked) for each in SCENARIOS)] for client in CLIENTS]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + f"\n{_legend()}\n"


def _letters(scenario: Scenario) -> list[str]:
    return [letter for upstream, letter in UPSTREAMS.items() if (upstream, scenario.name) not in CANNOT]


def _mark(client: Client, scenario: Scenario, tried: Collection[Cell], worked: Collection[Cell]) -> str:
    """A tick if it worked everywhere, streamed and whole, else the letters of where it did not."""
    mine = [cell for cell in tried if (cell.client, cell.scenario) == (client, scenario)]
    failed = dict.fromkeys(UPSTREAMS[cell.upstream] for cell in mine if cell not in worked)
    if failed:
        return f"not {' '.join(failed)}"
    return "kept out" if scenario.name == "reasoning" and not client.reasoning else "✓"


def _legend() -> str:
    titles = {scenario.name: scenario.title for scenario in SCENARIOS}
    reasons: dict[str, dict[str, None]] = {}
    for (_, name), reason in CANNOT.items():
        reasons.setdefault(reason, {})[titles[name]] = None
    left = "; ".join(f"{' and '.join(names)}, because {reason}" for reason, names in reasons.items())
    paragraphs = [
        f"✓: streamed and not, with each upstream named at the head of the column. {LETTERS}.",
        *(f"- *{scenario.title}*: {scenario.says}" for scenario in SCENARIOS),
        f"Not tried with t and l: {left}.",
    ]
    return "\n".join(_paragraph(text) for text in paragraphs)


def _paragraph(text: str) -> str:
    item = text.startswith("- ")
    filled = textwrap.fill(text, 120, subsequent_indent="  " * item, break_long_words=False, break_on_hyphens=False)
    return filled if item else f"{filled}\n" if text.startswith("✓") else f"\n{filled}"


def shown() -> str:
    """What stands between the markers now."""
    return README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def write(table: str) -> None:
    """Put it between the markers."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    README.write_text(before + BEGIN + table + END + rest.partition(END)[2], encoding="utf-8")
