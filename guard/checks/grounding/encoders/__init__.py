"""Encoders: models that read a statement beside the evidence nearest to it, and how one is found by name.

    shipped      the folder `shipped` beside the check
    DIR          a folder with `encoder.onnx` (`onnx`), or with a Hugging Face model's `config.json` (`hub`)
    ORG/NAME     a Hugging Face model by its name there (`hub`)

Knows names, the protocol and which extra brings what; imports neither ONNX Runtime nor torch before a name asks for it.
It does not know scores: what an encoder's log odds are worth beside the trees is `guard.checks.grounding.stack`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from guard.errors import ConfigError, GuardError, MissingExtra

SHIPPED = Path(__file__).parent.with_name("shipped")


class EncoderError(GuardError):
    """An encoder's answer cannot be used; to the stream it is a check that did not run."""


class EncoderBusy(EncoderError):
    """More statements wait for the encoder than it could answer in any deadline."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement without outer space, the question it may answer (or ""), and units of evidence, the nearest first."""

    text: str
    question: str
    evidence: Sequence[str]


@dataclass(frozen=True, slots=True)
class Logits:
    """What an encoder says: natural-log odds, above 0 where it is rather wrong than right.

    `statement`: that the statement is unsupported. `tokens`: that each of its tokens is, and `ranges` the characters of
    `Asked.text` it stands for; both empty where the encoder reads whole statements only.
    """

    statement: float
    tokens: Sequence[float] = ()
    ranges: Sequence[tuple[int, int]] = ()


class Encoder(Protocol):
    """A loaded encoder. `score` is only ever called from one thread at a time; a row's answer depends on no other row.

    `files` maps the names of the files it was made of to their SHA-256; `batch` is how many rows at a time are worth
    while.
    """

    files: dict[str, str]
    batch: int

    def score(self, asked: Sequence[Asked]) -> list[Logits]:
        """One answer for each statement, in their order. Blocks for milliseconds. Raises EncoderError."""
        ...


def load(name: str) -> Encoder:
    """The encoder of this name. Raises ConfigError, one line; MissingExtra where packages are not installed."""
    folder = folder_of(name)
    if folder is None:
        return _hub(name)
    if (folder / "encoder.onnx").is_file():
        return _onnx(folder)
    if (folder / "config.json").is_file():
        return _hub(name)
    if name == "shipped":
        raise ConfigError(
            "this build of guard ships no encoder; name a folder or a Hugging Face model, or leave it out"
        )
    raise ConfigError(
        f"the encoder {name!r} holds neither encoder.onnx nor config.json; name a folder with one of them"
    )


def folder_of(name: str) -> Path | None:
    """The folder that a name stands for; None where it is a Hugging Face model's name. Raises ConfigError."""
    if name == "shipped":
        return SHIPPED
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return folder
    if not name or name.count("/") > 1 or name.startswith((".", "/", "~")) or "\\" in name:
        raise ConfigError(f"the encoder {name!r} is no folder; name one, a Hugging Face model, or 'shipped'")
    return None


def digests(files: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of each file, by its name. Raises OSError."""
    told = {}
    for path in files:
        with path.open("rb") as file:
            told[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return told


def version_of(files: Mapping[str, str]) -> str:
    """Twelve letters that change when any of the files does."""
    return hashlib.sha256("".join(f"{name}{files[name]}" for name in sorted(files)).encode()).hexdigest()[:12]


def _onnx(folder: Path) -> Encoder:
    try:
        from guard.checks.grounding.encoders.onnx import OnnxEncoder
    except ModuleNotFoundError as error:
        raise _missing(error, ("onnxruntime", "tokenizers", "numpy"), "encoder", folder.name) from None
    return OnnxEncoder(folder)


def _hub(name: str) -> Encoder:
    try:
        from guard.checks.grounding.encoders.hub import HubEncoder
    except ModuleNotFoundError as error:
        raise _missing(error, ("torch", "transformers", "tokenizers", "safetensors"), "local", name) from None
    return HubEncoder(name)


def _missing(
    error: ModuleNotFoundError, known: Sequence[str], extra: str, name: str
) -> ModuleNotFoundError | MissingExtra:
    if (error.name or "").partition(".")[0] not in known:
        return error
    return MissingExtra(
        f"grounding's encoder {name!r} needs {error.name!r}: pip install 'premise-guard[{extra}]', "
        "or leave `encoder:` out of the policy"
    )
