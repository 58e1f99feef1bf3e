"""Text in pieces to token ids with a mask, exactly.

Knows Hugging Face tokenizers; knows nothing of records. What a model or guard wrote never becomes a control token,
even where it spells one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

IGNORED = -100
"""The label of a token that is not trained."""


class Piece(NamedTuple):
    """A stretch of a row's text.

    `control`: control tokens spelt in it are such (the template's, not the model's); `trained`: it is a target.
    """

    text: str
    control: bool
    trained: bool


def encode(pieces: Sequence[Piece], tokenizer: Any) -> tuple[list[int], list[int]] | None:
    """Token ids and mask (1: trained) of the pieces; None if the ids do not decode to the text."""
    text = "".join(piece.text for piece in pieces)
    for way in (_apart, _together):
        try:
            ids, mask = way(pieces, tokenizer)
        except (UnicodeError, TypeError, NotImplementedError):
            # A lone surrogate, which no tokenizer takes; or offsets, which a slow one does not know.
            continue
        if any(mask) and spells(ids, text, tokenizer):
            return ids, mask
    return None


def spells(ids: Sequence[int], text: str, tokenizer: Any) -> bool:
    """Whether the ids decode to the text.

    A normalising tokenizer (NFC) is exact enough: the model has never seen text in another form.
    """
    decoded = tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
    return decoded in (text, unicodedata.normalize("NFC", text))


def spell(piece: Piece, tokenizer: Any) -> list[int]:
    """A piece's token ids by itself. Raises UnicodeError or TypeError: no tokenizer takes the text."""
    options = {"add_special_tokens": False, "split_special_tokens": not piece.control}
    return list(tokenizer(piece.text, **options)["input_ids"]) if piece.text else []


def labelled(ids: Sequence[int], mask: Sequence[int]) -> dict[str, list[int]]:
    """The columns of a tokenised row: `input_ids`, `labels` (-100 where nothing is trained), `completion_mask`."""
    labels = [token if trained else IGNORED for token, trained in zip(ids, mask, strict=True)]
    return {"input_ids": list(ids), "labels": labels, "completion_mask": list(mask)}


def _apart(pieces: Sequence[Piece], tokenizer: Any) -> tuple[list[int], list[int]]:
    """Each piece by itself: so it was spliced when the model was interrupted."""
    ids: list[int] = []
    mask: list[int] = []
    for piece in pieces:
        new = spell(piece, tokenizer)
        ids += new
        mask += [int(piece.trained)] * len(new)
    return ids, mask


def _together(pieces: Sequence[Piece], tokenizer: Any) -> tuple[list[int], list[int]]:
    """All at once, for a tokenizer that puts a space before whatever it is given. A token is trained if none of its
    characters is context."""
    text = "".join(piece.text for piece in pieces)
    ends = list(accumulate(len(piece.text) for piece in pieces))
    context = [(end - len(p.text), end) for p, end in zip(pieces, ends, strict=True) if p.text and not p.trained]
    literal = not any(piece.control for piece in pieces)
    options = {"add_special_tokens": False, "return_offsets_mapping": True, "split_special_tokens": literal}
    found = tokenizer(text, **options)
    mask = [
        int(not any(start < right and max(end, start + 1) > left for left, right in context))
        for start, end in found["offset_mapping"]
    ]
    return list(found["input_ids"]), mask
