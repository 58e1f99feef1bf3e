"""Text in pieces to token ids with a mask, exactly.

Knows Hugging Face tokenizers; knows nothing of records. What a model or guard wrote never becomes a control token,
even where it spells one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple


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
    # A normalising tokenizer (NFC) is exact enough: the model has never seen text in another form.
    exact = (text, unicodedata.normalize("NFC", text))
    for way in (_apart, _together):
        try:
            ids, mask = way(pieces, tokenizer)
        except (UnicodeError, TypeError, NotImplementedError):
            # A lone surrogate, which no tokenizer takes; or offsets, which a slow one does not know.
            continue
        if any(mask) and tokenizer.decode(ids, clean_up_tokenization_spaces=False) in exact:
            return ids, mask
    return None


def _apart(pieces: Sequence[Piece], tokenizer: Any) -> tuple[list[int], list[int]]:
    """Each piece by itself: so it was spliced when the model was interrupted."""
    ids: list[int] = []
    mask: list[int] = []
    for piece in pieces:
        options = {"add_special_tokens": False, "split_special_tokens": not piece.control}
        new = tokenizer(piece.text, **options)["input_ids"] if piece.text else []
        ids += new
        mask += [int(piece.trained)] * len(new)
    return ids, mask


def _together(pieces: Sequence[Piece], tokenizer: Any) -> tuple[list[int], list[int]]:
    """All at once, for a tokenizer that puts a space before whatever it is given. A token that begins in the
    context is context."""
    text = "".join(piece.text for piece in pieces)
    border = sum(len(piece.text) for piece in pieces if not piece.trained)
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return list(found["input_ids"]), [int(start >= border) for start, _ in found["offset_mapping"]]
