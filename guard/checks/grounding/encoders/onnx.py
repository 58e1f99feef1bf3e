"""Our own encoder: a folder with `encoder.onnx` and `tokenizer.json`, run by ONNX Runtime on one thread.

The network reads `ids`, `types`, `mask`, `said` (int64 [rows, tokens]) as `guard.checks.grounding.pairs` packs them and
says `token` [rows, tokens] and `statement` [rows], log odds; `guard.train.encoder_net.export` writes such a file.
Nothing in a folder is ever run as code. It does not know stacks, policies or threads.

Rows go through one by one. An eight-bit network scales what passes through it by the largest value in the whole pass:
a row's answer would depend on whose rows it was read with, and on one thread a pass of eight takes as long as eight
passes (`python -m tests.bench.encoder` measures both).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from guard.checks.grounding.encoders import Asked, EncoderError, Logits
from guard.checks.grounding.pairs import QUESTION, Packer, Pair
from guard.errors import ConfigError

FILES = ("encoder.onnx", "tokenizer.json")
_INPUTS = {"ids", "types", "mask", "said"}
_OUTPUTS = ["token", "statement"]


class OnnxEncoder:
    """The encoder in a folder. Raises ConfigError, one line, where a file is missing or is none of its kind."""

    batch = 1

    def __init__(self, folder: Path) -> None:
        try:
            network, _ = held = [(folder / name).read_bytes() for name in FILES]
        except OSError as error:
            raise ConfigError(
                f"the encoder {str(folder)!r} cannot be read: {error.strerror}: {error.filename}"
            ) from None
        self.files = {name: hashlib.sha256(raw).hexdigest() for name, raw in zip(FILES, held, strict=True)}
        self._packer = Packer(folder / "tokenizer.json")
        self._session = _session(network, folder)
        self._try(folder)

    def score(self, asked: Sequence[Asked]) -> list[Logits]:
        """See `Encoder.score`."""
        return [self._run(self._pair(one)) for one in asked]

    def _pair(self, one: Asked) -> Pair:
        packer = self._packer
        return packer.pack(one.text, packer.ids(one.question, QUESTION), map(packer.ids, one.evidence))

    def _run(self, pair: Pair) -> Logits:
        tokens, statement = self._session.run(_OUTPUTS, _arrays(pair))
        if not (np.isfinite(tokens).all() and np.isfinite(statement).all()):
            raise EncoderError("the encoder answered with something that is no finite number")
        return Logits(float(statement[0]), tokens[0, 1 : 1 + len(pair.offsets)].tolist(), pair.offsets)

    def _try(self, folder: Path) -> None:
        """Whether the files fit each other: what cannot be read now would not be read later either."""
        try:
            self.score([Asked("It is so.", "Is it?", ["It was not so, they say."]), Asked("", "", [])])
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises classes of its own making
            told = " ".join(str(error).split())[:200] or type(error).__name__
            raise ConfigError(f"the encoder {str(folder)!r} does not run: {told}") from None


def _session(network: bytes, folder: Path) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong comes as an exception, and says it once
    try:
        session = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - see above
        told = " ".join(str(error).split())[:200]
        raise ConfigError(f"the encoder {str(folder / FILES[0])!r} is not valid: {told}") from None
    takes, gives = {one.name for one in session.get_inputs()}, [one.name for one in session.get_outputs()]
    if takes != _INPUTS or not set(_OUTPUTS) <= set(gives):
        raise ConfigError(
            f"the encoder {str(folder / FILES[0])!r} takes {sorted(takes)!r} and gives {gives!r}, "
            f"not {sorted(_INPUTS)!r} and {_OUTPUTS!r}; export it with guard.train.encoder"
        )
    return session


def _arrays(pair: Pair) -> dict[str, Any]:
    """One row as the network takes it."""
    count, own = len(pair.ids), len(pair.offsets)
    said = [0] + [1] * own + [0] * (count - 1 - own)
    rows = {"ids": pair.ids, "types": pair.types, "mask": [1] * count, "said": said}
    return {name: np.array([row], np.int64) for name, row in rows.items()}
