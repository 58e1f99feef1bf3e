"""What a transcript is reviewed for: a rubric, from a YAML file.

    name: mine
    pass_at: 0.8            # the weighted mean of the scores
    criteria:
      - name: grounded
        kind: judge         # a model reads the transcript; or exact:NAME, which code decides (`exact`)
        ask: Every fact that it states stands in the notes or in a tool's result.
        pass_at: 0.8        # 0..1
        weight: 2
        may_not_apply: true # it can have nothing to say; otherwise "does not apply" is no verdict

A transcript passes where every criterion that applies reaches its own `pass_at`, at least one applies, and their
weighted mean reaches the rubric's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from guard.errors import ConfigError
from guard.registry import first_error
from guard.train.transcripts.exact import EXACT
from guard.train.transcripts.questions import digest

HERE = Path(__file__).parent / "rubrics"
Share = Annotated[float, Field(ge=0, le=1)]


class Criterion(BaseModel):
    """One thing that is looked for; `exact` is the name of what decides it in code, or ""."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    ask: Annotated[str, Field(min_length=1, max_length=2000)]
    kind: str
    weight: Annotated[float, Field(gt=0)] = 1
    pass_at: Annotated[float, Field(gt=0, le=1)] = 0.8
    may_not_apply: bool = False

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind != "judge" and kind.removeprefix("exact:") not in EXACT:
            raise ValueError(f"kind is 'judge' or exact: and one of {', '.join(EXACT)}, not {kind!r}")
        return kind

    @property
    def exact(self) -> str:
        """What decides it in code, or "" where a model does."""
        return "" if self.kind == "judge" else self.kind.removeprefix("exact:")


class Rubric(BaseModel):
    """A whole rubric."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1)]
    pass_at: Share = 0
    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [criterion.name for criterion in self.criteria]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"criteria named twice: {twice!r}")
        if "overall" in names:
            raise ValueError("no criterion may be named 'overall': that is the weighted mean")
        return self

    @property
    def judged(self) -> list[Criterion]:
        """The criteria that a model decides."""
        return [criterion for criterion in self.criteria if not criterion.exact]

    @property
    def digest(self) -> str:
        """What tells it from another rubric."""
        return digest(self.model_dump(mode="json"))


def shipped() -> dict[str, Path]:
    """The rubrics that come with guard, by name."""
    return {path.stem: path for path in sorted(HERE.glob("*.yaml"))}


def read_rubric(name_or_file: str) -> Rubric:
    """A shipped rubric by its name, or one from a file. Raises ConfigError, one line."""
    path = shipped().get(name_or_file) or Path(name_or_file)
    if not path.is_file():
        raise ConfigError(f"there is no rubric {name_or_file!r}; shipped are {', '.join(shipped())}, or name a file")
    try:
        return Rubric.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise ConfigError(f"rubric {str(path)!r}: {first_error(error)}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"rubric {str(path)!r} cannot be read: {' '.join(str(error).split())}") from None
