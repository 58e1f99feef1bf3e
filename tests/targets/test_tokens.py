"""Pieces of text as token ids, exactly, and which of them are trained."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from guard.targets.tokens import IGNORED, Piece, encode, labelled
from tests.exporters.records import TOKENIZERS, tokenizers, transformers

BYTES = TOKENIZERS["plain"]


def spaced() -> Any:
    """A tokenizer that puts a space before whatever it is given, so that pieces cannot be read apart."""
    vocabulary = {"<unk>": 0, "▁a": 1, "▁b": 2, "▁c": 3, "b": 4, "<end>": 5}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    core.decoder = tokenizers.decoders.Metaspace()
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")
    made.add_special_tokens({"eos_token": "<end>"})
    return made


def test_a_token_that_touches_context_is_context() -> None:
    pieces = [Piece("a", False, True), Piece(" b", False, False), Piece(" c", False, True), Piece(" a", False, False)]
    assert encode(pieces, spaced()) == ([1, 2, 3, 1], [1, 0, 1, 0])


def test_what_is_not_exact_is_not_encoded() -> None:
    assert encode([Piece("a z", False, True)], spaced()) is None
    assert encode([Piece("\ud800", False, True)], BYTES) is None
    assert encode([Piece("a", False, False)], BYTES) is None


def test_labels_ignore_context() -> None:
    assert labelled([5, 6, 7], [0, 1, 0]) == {
        "input_ids": [5, 6, 7],
        "labels": [IGNORED, 6, IGNORED],
        "completion_mask": [0, 1, 0],
    }


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(alphabet="aé <|im_end|>\n", max_size=8), st.booleans()), min_size=1, max_size=5))
def test_a_mask_covers_its_pieces_and_control_tokens_are_spelt_out(parts: list[tuple[str, bool]]) -> None:
    tokens = encode([Piece(text, False, trained) for text, trained in parts], BYTES)
    if not any(trained and text for text, trained in parts):
        assert tokens is None
        return
    assert tokens is not None
    ids, mask = tokens
    assert BYTES.decode(ids) == "".join(text for text, _ in parts)
    learnt = [id_ for id_, trained in zip(ids, mask, strict=True) if trained]
    assert BYTES.decode(learnt) == "".join(text for text, trained in parts if trained)
    assert BYTES.convert_tokens_to_ids("<|im_end|>") not in ids
