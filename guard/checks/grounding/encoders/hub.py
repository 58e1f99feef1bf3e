"""Any published model of a family that `recipes` knows, by folder or by its name on Hugging Face, run by transformers.

What it is is told from `config.json`. Rules: no code from a model's folder is ever run; weights are safetensors, for
other formats can run code; a model whose weights lack a part is refused instead of guessing that part. Everything runs
in float32 on one thread, or on a GPU where there is one. Its probability is its own: it was calibrated, if at all, on
other statements than yours; `guard eval --calibrate` fits it to your rows.

MiniCheck's makers publish no safetensors: `AutoModel...from_pretrained(name).save_pretrained(DIR)` and the tokenizer's
`save_pretrained(DIR)` make a folder with them. HHEM has no tokenizer of its own: it is read from google/flan-t5-base.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from transformers.utils import cached_file
from transformers.utils import logging as hub_logging

from guard.checks.grounding.encoders import Asked, EncoderError, Logits, digests, folder_of
from guard.checks.grounding.encoders.hhem import load_hhem
from guard.checks.grounding.encoders.recipes import (
    Consistency,
    Entailment,
    Recipe,
    Row,
    Tokens,
    Verdict,
    classifier,
    wrong_label,
)
from guard.errors import ConfigError

LONGEST = 2048
"""Tokens of a row at most, whatever the model could take."""
TOGETHER = 8
"""Rows of a pass, of like length: padding costs as much as text, and who waits longest waits for all of them."""
FOUNDATION = "google/flan-t5-base"
_FROM_ONE = frozenset({"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "longformer"})
"""Models that count positions from behind the padding token's number."""
_AUTO = {
    Entailment.head: AutoModelForSequenceClassification,
    Tokens.head: AutoModelForTokenClassification,
    Verdict.head: AutoModelForSeq2SeqLM,
}


class HubEncoder:
    """A published model. Raises ConfigError, one line, where it cannot be loaded or is of no known family."""

    batch = 2 * TOGETHER

    def __init__(self, name: str) -> None:
        hub_logging.disable_progress_bar()  # a server's standard error is a log
        try:
            self._model, self._recipe, tokenizer, place = _loaded(name)
            self.files = digests(sorted(path for path in place.iterdir() if _counts(path)))
            self._pad = tokenizer.pad_token_id or 0
            self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            self._model = self._model.float().eval().to(self._device)
            self._typed = (getattr(self._model.config, "type_vocab_size", 0) or 0) > 1
            self.score([Asked("It is so.", "Is it?", ["It was not so, they say."])])
        except Exception as error:  # noqa: BLE001 - transformers and torch raise anything over a file that is not theirs
            told = " ".join(str(error).split())[:300] or type(error).__name__
            raise ConfigError(f"the encoder {name!r} cannot be used: {told}") from None

    def score(self, asked: Sequence[Asked]) -> list[Logits]:
        """See `Encoder.score`."""
        torch.set_num_threads(1)  # counts for the thread that says it
        rows = [self._recipe.row(one) for one in asked]
        order = sorted(range(len(rows)), key=lambda at: len(rows[at].ids))
        told: dict[int, Logits] = {}
        for first in range(0, len(order), TOGETHER):
            some = order[first : first + TOGETHER]
            told |= zip(some, self._run([rows[at] for at in some]), strict=True)
        return [told[at] for at in range(len(rows))]

    def _run(self, rows: Sequence[Row]) -> list[Logits]:
        with torch.inference_mode():
            logits = self._model(**self._batch(rows)).logits
        if isinstance(self._recipe, Verdict):
            logits = logits[:, 0]
        told = [self._recipe.read(row, one) for row, one in zip(rows, logits.float().tolist(), strict=True)]
        if not all(math.isfinite(one.statement) for one in told):
            raise EncoderError("the encoder answered with something that is no finite number")
        return told

    def _batch(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """The rows as the model takes them, padded to the longest."""
        longest = max(len(row.ids) for row in rows)

        def padded(parts: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
            return torch.tensor([[*part, *[filler] * (longest - len(part))] for part in parts], device=self._device)

        batch = {
            "input_ids": padded([row.ids for row in rows], self._pad),
            "attention_mask": padded([[1] * len(row.ids) for row in rows], 0),
        }
        if self._typed:
            batch["token_type_ids"] = padded([row.types for row in rows], 0)
        if isinstance(self._recipe, Verdict):
            start = self._model.config.decoder_start_token_id
            batch["decoder_input_ids"] = torch.full((len(rows), 1), start or 0, device=self._device)
        return batch


def _loaded(name: str) -> tuple[Any, Recipe, Any, Path]:
    """The model, how it is asked, its tokenizer, and the folder that its files lie in."""
    local = {"local_files_only": folder_of(name) is not None}
    file = Path(cached_file(name, "config.json", **local))
    raw, place = json.loads(file.read_bytes()), file.parent
    if raw.get("model_type") == "HHEMv2":
        return _hhem(name, raw, local, place)
    heads = [head for head in _AUTO if any(str(one).endswith(head) for one in raw.get("architectures") or ())]
    if not heads:
        raise ConfigError(f"its architectures {raw.get('architectures')!r} are none that guard knows how to ask")
    config = AutoConfig.from_pretrained(name, trust_remote_code=False, **local)
    model, told = _AUTO[heads[0]].from_pretrained(
        name,
        config=config,
        dtype="float32",
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        **local,
    )
    if told["missing_keys"]:
        raise ConfigError(f"its weights lack {sorted(told['missing_keys'])[0]!r}; it is not trained for this")
    tokenizer = _tokenizer(name, local)
    return model, _recipe(heads[0], config, tokenizer), tokenizer, place


def _recipe(head: str, config: Any, tokenizer: Any) -> Recipe:
    reading, most = _copy(tokenizer), longest(config)
    labels = [str(config.id2label[at]) for at in sorted(config.id2label)]
    if head == Tokens.head:
        return Tokens(reading, most, wrong_label(labels))
    if head == Verdict.head:
        return Verdict(reading, most, tokenizer.eos_token_id)
    end = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    return classifier(labels)(reading, most, end)


def _hhem(name: str, raw: Mapping[str, Any], local: dict[str, bool], place: Path) -> tuple[Any, Recipe, Any, Path]:
    own = cached_file(name, "tokenizer.json", _raise_exceptions_for_missing_entries=False, **local)
    source, how = (name, local) if own else (str(raw.get("foundation") or FOUNDATION), {})
    tokenizer = _tokenizer(source, how)
    model = load_hhem(Path(cached_file(name, "model.safetensors", **local)))
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    return model, Consistency(_copy(tokenizer), LONGEST, pad, end), tokenizer, place


def _tokenizer(name: str, local: dict[str, bool]) -> Any:
    """Its fast tokenizer. Without a file transformers would make one up, which knows no word."""
    if cached_file(name, "tokenizer.json", _raise_exceptions_for_missing_entries=False, **local) is None:
        raise ConfigError("it has no tokenizer.json; save its tokenizer with it")
    return AutoTokenizer.from_pretrained(name, trust_remote_code=False, use_fast=True, **local)


def _copy(tokenizer: Any) -> Any:
    """What a fast tokenizer is made of, to be changed."""
    return Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())


def longest(config: Any) -> int:
    """Tokens of a row at most: as many as there are positions. What a tokenizer says of it is often another model's."""
    positions = getattr(config, "max_position_embeddings", None) or LONGEST
    if config.model_type in _FROM_ONE:
        positions -= (config.pad_token_id or 0) + 1
    return int(min(LONGEST, positions))


def _counts(path: Path) -> bool:
    return path.is_file() and (path.suffix == ".safetensors" or path.name in ("config.json", "tokenizer.json"))
