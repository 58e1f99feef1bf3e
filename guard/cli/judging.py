"""A judgement as the command line makes it: who says it, when, and what it is of."""

from __future__ import annotations

import getpass
import time
import uuid
from dataclasses import dataclass
from typing import get_args

from guard.core.records import Judgement, Ruling
from guard.errors import ConfigError

RULINGS: tuple[Ruling, ...] = get_args(Ruling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What a reviewer would have guard say instead; None where its words stand."""

    label: str = ""
    reason: str | None = None
    correction: str | None = None


def whoever(reviewer: str | None) -> str:
    """The reviewer's name: the one given, else the user's. Raises ConfigError where there is none."""
    name = (_user() if reviewer is None else reviewer).strip()
    if not name:
        raise ConfigError(f"{name!r} is no reviewer's name; say who judges with --reviewer NAME")
    return name


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return ""


def judgement(subject: str, ruling: Ruling, reviewer: str, edit: Edit | None = None) -> Judgement:
    """What is written down of one ruling now."""
    edit = edit or Edit()
    return Judgement(
        id=uuid.uuid4().hex,
        subject=subject,
        session="",  # the subject's, which the store knows
        reviewer=reviewer,
        at=time.time(),
        ruling=ruling,
        label=edit.label,
        reason=edit.reason,
        correction=edit.correction,
    )
