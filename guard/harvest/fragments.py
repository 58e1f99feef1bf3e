"""Whether what a preference row rejects is a fragment, cut off before a sentence ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from guard.exporters import Row

_SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]*_]*(?:\s|$)|[。！？｡]|\n""")


def is_fragment(row: Row) -> bool:
    """Whether a row of `preference`, after the claim, has no whole sentence to reject."""
    return row.get("at") == "after" and not _SENTENCE_END.search(_rejected(row["rejected"]).strip())


def _rejected(rejected: str | Mapping[str, Any]) -> str:
    """What is rejected behind the claim, from either form of a row."""
    if isinstance(rejected, str):
        return rejected
    turn, spans = rejected["assistant"], rejected["spans"]
    return "\n".join(turn[s["channel"]][s["start"] : s["end"]] for s in spans if s["kind"] == "discarded")
