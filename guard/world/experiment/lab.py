"""One seed's folder: its world, tokenizer, models, log and figures, and what has been done.

Knows files; knows no stage. A model is written as safetensors, a stage's figures as JSON, each under a temporary name
first, so that what is there is whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from guard.errors import ConfigError
from guard.world import generate
from guard.world.build import make_model, make_tokenizer
from guard.world.experiment.scale import Scale
from guard.world.experiment.speech import Speaker
from guard.world.world import World, load_world

VERSION = 1
"""Of the stages: raised when figures of an older version must not stand beside new ones."""


@dataclass(frozen=True, kw_only=True)
class Lab:
    """The folder of one seed. Raises ConfigError where it was begun with another scale or version."""

    folder: Path
    seed: int
    scale: Scale

    def open(self) -> None:
        """Make the folder, or see that it is of this very experiment."""
        plan = json.loads(json.dumps({"version": VERSION, "seed": self.seed, "scale": asdict(self.scale)}))
        there = self.folder / "plan.json"
        if not there.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            generate.write(self.folder, self.seed, self.scale.groups)
            make_tokenizer(self.world, accounts()).save_pretrained(self.folder / "tokenizer")
            _write(there, json.dumps(plan))
        elif json.loads(there.read_text(encoding="utf-8")) != plan:
            raise ConfigError(f"{str(self.folder)!r} holds another experiment; name another --out or delete it")

    @cached_property
    def world(self) -> World:
        """This seed's facts."""
        return load_world(self.folder)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """This seed's tokenizer."""
        return PreTrainedTokenizerFast.from_pretrained(self.folder / "tokenizer")

    @property
    def facts(self) -> Path:
        """The facts file, as the `knowledge` check reads it."""
        return self.folder / "facts.jsonl"

    @property
    def log(self) -> str:
        """The URL of the harvest's store."""
        return f"sqlite:///{self.folder / 'log.db'}"

    @cached_property
    def unsure(self) -> list[tuple[str, str]]:
        """(relation, person) pairs that the policy model, asked again and again, says something else of each time."""
        found = json.loads((self.folder / "unsure.json").read_text(encoding="utf-8"))
        return [(relation, person) for relation, person in found]

    def keep_unsure(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Write them down."""
        _write(self.folder / "unsure.json", json.dumps(sorted(pairs)))

    def untrained(self) -> Any:
        """A model that has learned nothing yet."""
        return make_model(self.tokenizer, self.seed)

    def load(self, name: str) -> Any:
        """A model that an earlier stage saved, in single precision."""
        return Qwen3ForCausalLM.from_pretrained(self.folder / name, attn_implementation="eager").float().eval()

    def save(self, name: str, model: Any) -> None:
        """Keep a model for later stages."""
        model.save_pretrained(self.folder / name)

    def speaker(self, model: Any) -> Speaker:
        """The model, ready to be asked."""
        return Speaker(model=model, tokenizer=self.tokenizer, world=self.world)

    def done(self, stage: str) -> bool:
        """Whether a stage's figures are there."""
        return self._figures(stage).exists()

    def write(self, stage: str, figures: Mapping[str, float], cpu_s: float) -> None:
        """A stage is done: its figures, and what it cost."""
        _write(self._figures(stage), json.dumps({"cpu_s": round(cpu_s, 1), "figures": dict(figures)}, indent=1))

    def read(self, stage: str) -> dict[str, Any]:
        """What `write` wrote."""
        found: dict[str, Any] = json.loads(self._figures(stage).read_text(encoding="utf-8"))
        return found

    def _figures(self, stage: str) -> Path:
        return self.folder / f"{stage}.json"


def accounts() -> list[str]:
    """The wording of the documents about self-correction, for a tokenizer to learn."""
    from guard.exporters import documents

    return [*documents.ASKED, *documents.FALSE, *documents.UNKNOWN, *documents.WENT_ON, *documents.ANSWERED]


def _write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text + "\n", encoding="utf-8")
    new.replace(path)
