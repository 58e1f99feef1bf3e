"""Which records are trained on, whatever the format."""

from __future__ import annotations

from typing import Any

import pytest

from guard.targets.selection import select
from tests.exporters.records import record


@pytest.mark.parametrize("how", [{}, {"unreviewed": True}, {"trusted": ["knowledge"]}])
@pytest.mark.parametrize("review", ["disputed", "rejected"])
def test_nothing_lifts_what_reviewers_rejected_or_disagree_about(review: str, how: dict[str, Any]) -> None:
    assert not list(select([record(review=review)], **how))
    assert list(select([record(review="confirmed")], **how))
